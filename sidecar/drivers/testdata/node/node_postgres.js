// A shop's chores with node-postgres. Where to connect is in the environment.
'use strict'

const { Client, Pool } = require('pg')

const print = (...values) => console.log(...values.map((value) => JSON.stringify(value)))

function show(result) {
  for (const one of Array.isArray(result) ? result : [result]) {
    print(one.command, one.rowCount, one.fields.map((f) => [f.name, f.dataTypeID, f.dataTypeModifier, f.format]), one.rows)
  }
}

function showError(error) {
  print(error.name, error.code, error.message, error.detail, error.constraint, error.position)
}

async function repeatedReads(client) {
  for (let i = 0; i < 15; i++) {
    for (const name of ['currency', 'motto']) {
      show(await client.query('SELECT value FROM setting WHERE name = $1', [name]))
    }
    show(await client.query("SELECT value FROM setting WHERE name = 'vat'"))
    show(await client.query({ name: 'setting', text: 'SELECT value FROM setting WHERE name = $1', values: ['vat'] }))
  }
  for (let i = 0; i < 3; i++) {
    show(await client.query('SELECT * FROM item ORDER BY id'))
    show(await client.query('SELECT * FROM item WHERE id = $1', [1]))
    show(await client.query({ text: 'SELECT id, name, photo, price FROM item WHERE id = ANY($1) ORDER BY id', values: [[1, 2]], rowMode: 'array' }))
    show(await client.query({ text: 'SELECT id, name, stock FROM item WHERE id = $1', values: [1], binary: true }))
    show(await client.query('SELECT id FROM item WHERE false'))
    show(await client.query('TABLE sold ORDER BY name'))
  }
}

async function ownWrites(client) {
  for (let stock = 0; stock < 20; stock++) {
    show(await client.query('UPDATE item SET stock = $1 WHERE id = $2', [stock, 3]))
    for (let i = 0; i < 2; i++) {
      show(await client.query('SELECT stock FROM item WHERE id = $1', [3]))
    }
  }
  show(await client.query('INSERT INTO sale (item, amount) VALUES ($1, $2), ($3, $4) RETURNING *', [1, 5, 2, 6]))
  show(await client.query('SELECT item, amount FROM sale ORDER BY id'))
}

async function transactions(client) {
  for (const end of ['COMMIT', 'ROLLBACK']) {
    await client.query('BEGIN')
    show(await client.query('UPDATE item SET stock = stock + 100 WHERE id = 1'))
    show(await client.query('SELECT stock FROM item WHERE id = $1', [1]))
    show(await client.query(end))
    show(await client.query('SELECT stock FROM item WHERE id = $1', [1]))
  }
  await client.query('BEGIN')
  await client.query('UPDATE item SET stock = -1').catch(showError)
  await client.query('SELECT stock FROM item WHERE id = $1', [1]).catch(showError)
  show(await client.query('COMMIT'))
  show(await client.query('SELECT stock FROM item WHERE id = $1', [1]))
}

async function errorsAndNotices(client) {
  client.on('notice', (notice) => print(notice.severity, notice.code, notice.message))
  for (const [text, values] of [
    ["INSERT INTO item (id, name, price, stock) VALUES ($1, 'x', 1, 1)", [1]],
    ['SELECT nothing FROM item', undefined],
    ['SELEC 1', undefined],
    ['SELECT 1 / $1::int', [0]],
    ['SELECT $1::int', ['one']],
    ['SELECT 1; SELECT 1 / 0', undefined],
  ]) {
    await client.query(text, values).then(show, showError)
  }
  show(await client.query("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$"))
  show(await client.query('SELECT stock FROM item WHERE id = 1; UPDATE item SET stock = 9 WHERE id = 1; SELECT stock FROM item WHERE id = 1'))
}

async function notifications(client) {
  const heard = new Promise((resolve) => client.once('notification', resolve))
  await client.query('LISTEN shop')
  await client.query("NOTIFY shop, 'open'")
  const { channel, payload, processId } = await heard
  print(channel, payload, processId === client.processID)
  await client.query('UNLISTEN *')
}

async function pool() {
  const pool = new Pool({ max: 3 })
  const reads = Array.from({ length: 30 }, () => pool.query('SELECT value FROM setting WHERE name = $1', ['motto']))
  for (const result of await Promise.all(reads)) {
    print(result.rows)
  }
  await pool.end()
}

async function main() {
  console.log('pg', require('./package.json').dependencies.pg)
  const client = new Client()
  await client.connect()
  await repeatedReads(client)
  await ownWrites(client)
  await transactions(client)
  await notifications(client)
  await pool()
  await repeatedReads(client)
  await client.query("SET statement_timeout = '100ms'")
  await client.query('SELECT pg_sleep($1)', [20]).catch(showError)
  await client.query('RESET statement_timeout')
  await errorsAndNotices(client)
  await client.end()
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
