// Drives an echo through npm's workerpool with processes, and prints one line of JSON.
//
//   node driver.mjs --mode sync|pipelined --workers N --tasks N --payload BYTES [--buffers]
//
// Messages are strings, which is what a child process of Node takes fastest while they are small; with --buffers they are
// Buffers in Node's own serialization, which is faster for large ones.

import { parseArgs } from 'node:util'
import { fileURLToPath } from 'node:url'
import workerpool from 'workerpool'

const { values: o } = parseArgs({
  options: {
    mode: { type: 'string', default: 'sync' },
    workers: { type: 'string', default: '1' },
    tasks: { type: 'string', default: '1000' },
    payload: { type: 'string', default: '64' },
    buffers: { type: 'boolean', default: false },
  },
})
const workers = Number(o.workers), tasks = Number(o.tasks), payload = Number(o.payload)

const pool = workerpool.pool(fileURLToPath(new URL('worker.mjs', import.meta.url)), {
  workerType: 'process',
  minWorkers: workers,
  maxWorkers: workers,
  forkOpts: o.buffers ? { serialization: 'advanced' } : {},
})

function message(i) {
  if (!o.buffers) return String(i).padStart(payload, '.')
  const m = Buffer.alloc(payload)
  m.writeDoubleLE(i)
  return m
}

function check(sent, i, back) {
  const same = o.buffers ? Buffer.from(back).readDoubleLE() === i : back === sent
  if (!same || back.length !== payload) throw new Error(`message ${i} came back as another`)
}

async function echo(i) {
  const sent = message(i)
  check(sent, i, await pool.exec('echo', [sent]))
}

async function sync(n) {
  const times = []
  for (let i = 0; i < n; i++) {
    const begun = process.hrtime.bigint()
    await echo(i)
    times.push(Number(process.hrtime.bigint() - begun) / 1e3)
  }
  return times
}

async function pipelined(n) {
  const ahead = Math.max(16, Math.min(4096, Math.floor((64 << 20) / payload)))
  let next = 0
  async function lane() {
    while (next < n) await echo(next++)
  }
  await Promise.all(Array.from({ length: ahead }, lane))
  return []
}

const run = o.mode === 'sync' ? sync : pipelined
await run(Math.max(workers, Math.min(Math.floor(tasks / 10), 5000))) // the workers are started, and warm
const begun = process.hrtime.bigint()
const times = (await run(tasks)).sort((a, b) => a - b)
const took = Number(process.hrtime.bigint() - begun) / 1e9
console.log(JSON.stringify({
  peer: 'node workerpool', mode: o.mode, workers, tasks, payload, seconds: took, tasks_per_s: tasks / took,
  p50_us: times[Math.floor(times.length / 2)] ?? 0, mb_per_s: (tasks * payload) / took / 1e6,
}))
await pool.terminate()
