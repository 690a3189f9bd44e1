"""HTTP: routes, keys, limits. It computes nothing: it reads tables, asks questions over topics, and produces."""
