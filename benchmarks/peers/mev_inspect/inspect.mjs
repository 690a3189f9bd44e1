// mev-inspect (npm, MIT) on block files, offline: its provider answers from the file. Prints a line of JSON a block: number, the
// CPU seconds of the faster of two runs, and how many arbitrages and liquidations it reports, or why it gave up.
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { BigNumber } from '@ethersproject/bignumber'
import { Inspector } from 'mev-inspect'

const GAS = BigNumber.from(21_000) // which it only hands on
const CALLS = { '0xc45a0155': 'factory', '0x0dfe1681': 'token0', '0xd21220a7': 'token1' }
const word = (address) => '0x' + (address ?? '0x').slice(2).padStart(64, '0')

function provider(block) {
  const receipts = new Map(block.transactions.map((one) => [one.hash, { logs: [], gasUsed: GAS }]))
  for (const log of block.logs) receipts.get(log.transactionHash)?.logs.push({ ...log, logIndex: Number(log.logIndex) })
  return {
    _isProvider: true,
    resolveName: async (name) => name,
    getBlockWithTransactions: async () => ({ transactions: block.transactions }),
    getTransactionReceipt: async (hash) => receipts.get(hash),
    call: async (asked) => {
      const { to, data } = await asked
      return word(block.pools[(await to).toLowerCase()]?.[CALLS[(await data).slice(0, 10)]])
    },
  }
}

for (const file of process.argv.slice(2)) {
  const raw = readFileSync(file)
  const told = { seconds: Infinity }
  for (let turn = 0; turn < 2; turn++) {
    const before = process.cpuUsage()
    const block = JSON.parse(file.endsWith('.gz') ? gunzipSync(raw) : raw)
    told.number = block.number
    try {
      const found = await new Inspector(1, provider(block)).block(block.number)
      told.arbitrages = found.filter((one) => 'startAmount' in one || 'swaps' in one).length
      told.liquidations = found.length - told.arbitrages
    } catch (error) {
      told.gave_up = String(error.message).split('\n')[0].slice(0, 100)
    }
    const used = process.cpuUsage(before)
    told.seconds = Math.min(told.seconds, (used.user + used.system) / 1e6)
  }
  console.log(JSON.stringify(told))
}
