"""Local Kafka and Redis: real servers as child processes, and the tree that keeps them up."""
