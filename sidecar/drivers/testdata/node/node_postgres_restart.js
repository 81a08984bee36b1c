// Reads and writes on a pool of node-postgres, whose connections are renewed, until its
// standard input ends: a line for each hundred statements, and at last how many failed.
'use strict'

const { Pool } = require('pg')

const pool = new Pool({ max: 4, maxLifetimeSeconds: 1 })
pool.on('error', () => {}) // of a connection that nobody uses: the pool opens another one

let stopped = false
process.stdin.on('end', () => { stopped = true }).resume()

let done = 0
let failed = 0
let first = ''

async function use(statement, values) {
  while (!stopped) {
    try {
      await pool.query(statement, values)
    } catch (error) {
      failed++
      first = first || error.message
    }
    if (++done % 100 === 0) console.log(`${done} done`)
  }
}

async function main() {
  const users = [1, 2, 3].map(id => use('SELECT stock FROM item WHERE id = $1', [id]))
  users.push(use('UPDATE item SET stock = stock + 1 WHERE id = $1', [1]))
  await Promise.all(users)
  await pool.end()
  console.log(`${failed} failed ${first}`)
}

main()
