// Writes on one connection of a pool and reads on the others with node-postgres, and counts
// the reads that lack what was written. The argument is how often.
'use strict'

const { Pool } = require('pg')

async function main(rounds) {
  const pool = new Pool({ max: 4 })
  const writer = await pool.connect()
  let stale = 0
  for (let round = 1; round <= rounds; round++) {
    if (round % 2) {
      await writer.query('UPDATE item SET stock = $1 WHERE id = 1', [round])
    } else {
      await writer.query('BEGIN')
      await writer.query('UPDATE item SET stock = $1 WHERE id = 1', [round])
      await writer.query('COMMIT')
    }
    const read = () => pool.query('SELECT stock FROM item WHERE id = $1', [1])
    for (const result of await Promise.all([read(), read(), read()])) {
      if (result.rows[0].stock !== round) stale++
    }
    if ((await read()).rows[0].stock !== round) stale++
  }
  writer.release()
  await pool.end()
  console.log(`${stale} stale`)
}

main(Number(process.argv[2]))
