// A shop's chores with postgres.js. Where to connect is in the environment.
'use strict'

const postgres = require('postgres')

const print = (...values) => console.log(...values.map((value) => JSON.stringify(value)))

const options = { max: 1, onnotice: (notice) => print(notice.severity, notice.code, notice.message) }
const sql = postgres(options)

function show(result) {
  print(result.command, result.count, result.columns?.map((c) => [c.name, c.type]), result)
}

function showError(error) {
  print(error.name, error.code, error.message, error.detail, error.constraint_name)
}

async function repeatedReads() {
  for (let i = 0; i < 10; i++) {
    for (const name of ['currency', 'motto']) {
      show(await sql`SELECT value FROM setting WHERE name = ${name}`)
    }
    show(await sql`SELECT value FROM setting WHERE name = 'vat'`)
    show(await sql`SELECT name, value FROM setting ORDER BY name`.values())
    show(await sql.unsafe('SELECT value FROM setting WHERE name = $1', ['vat']))
    show(await sql`SELECT value FROM setting WHERE name = 'motto'`.simple())
  }
}

async function types() {
  for (let i = 0; i < 3; i++) {
    show(await sql`SELECT * FROM item ORDER BY id`)
    show(await sql`SELECT name FROM item WHERE id IN ${sql([1, 2, 3])} AND active`)
    show(await sql`SELECT name FROM item WHERE id = ANY (${[1, 2, 3]}) AND price < ${'99.5'} ORDER BY id`)
    show(await sql`SELECT name FROM item WHERE details @> ${sql.json({ a: [1] })}`)
    show(await sql`SELECT name FROM item WHERE photo = ${Buffer.from([0, 255, 16])}`)
    show(await sql`SELECT id FROM item WHERE changed > ${new Date('2024-01-01')}`)
    show(await sql`SELECT ${sql(['name', 'amount'])} FROM sold ORDER BY name`)
  }
}

async function ownWrites() {
  for (let stock = 0; stock < 20; stock++) {
    show(await sql`UPDATE item SET ${sql({ stock })} WHERE id = ${3}`)
    for (let i = 0; i < 2; i++) {
      show(await sql`SELECT stock FROM item WHERE id = ${3}`)
    }
  }
  show(await sql`INSERT INTO sale ${sql([{ item: 1, amount: 5 }, { item: 2, amount: 6 }])} RETURNING *`)
  show(await sql`SELECT item, amount FROM sale ORDER BY id`)
}

async function transactions() {
  const stock = (sql) => sql`SELECT stock FROM item WHERE id = ${1}`
  await sql.begin(async (sql) => {
    await sql`UPDATE item SET stock = stock + 100 WHERE id = 1`
    show(await stock(sql))
    await sql.savepoint((sql) => sql`UPDATE item SET stock = ${-1}`).catch(showError)
    show(await stock(sql))
  })
  show(await stock(sql))
  await sql.begin('isolation level serializable', async (sql) => {
    await sql`UPDATE item SET stock = stock + 100 WHERE id = 1`
    show(await stock(sql))
    throw new Error('changed my mind')
  }).catch(showError)
  show(await stock(sql))
  // Several at once: they share one round trip.
  for (const result of await sql.begin((sql) => [stock(sql), sql`UPDATE item SET stock = stock + 1 WHERE id = 1`, stock(sql)])) {
    show(result)
  }
}

async function errorsAndNotices() {
  await sql`INSERT INTO item (id, name, price, stock) VALUES (${1}, 'x', 1, 1)`.catch(showError)
  await sql`SELECT nothing FROM item`.catch(showError)
  await sql`SELEC 1`.catch(showError)
  await sql`SELECT 1 / ${0}::int`.catch(showError)
  await sql`DO $$ BEGIN RAISE NOTICE 'noticed'; END $$`
  await sql`SET statement_timeout = '100ms'`
  await sql`SELECT pg_sleep(20)`.catch(showError)
  await sql`RESET statement_timeout`
  show(await sql`SELECT stock FROM item WHERE id = ${1}`)
}

async function pieces() {
  await sql`SELECT id, name FROM item ORDER BY id`.cursor(2, show)
  await sql`SELECT id, name FROM item ORDER BY id`.forEach((row) => print(row))
  const { types, columns } = await sql`SELECT id, name FROM item WHERE id = ${1}`.describe()
  print(types, columns.map((c) => [c.name, c.type]))
}

async function copies() {
  const into = await sql`COPY sale (item, amount) FROM STDIN`.writable()
  await new Promise((resolve, reject) => into.on('error', reject).on('finish', resolve).end('1\t100\n2\t200\n'))
  let text = ''
  for await (const piece of await sql`COPY (SELECT item, amount FROM sale WHERE amount >= 100 ORDER BY id) TO STDOUT`.readable()) {
    text += piece
  }
  print(text)
}

async function notifications() {
  let hear
  const heard = new Promise((resolve) => (hear = resolve))
  const { unlisten } = await sql.listen('shop', hear)
  await sql.notify('shop', 'open')
  print(await heard)
  await unlisten()
}

// With several connections and more queries than those: they are pipelined.
async function pool() {
  const sql = postgres({ ...options, max: 3 })
  const reads = Array.from({ length: 30 }, (_, i) => sql`SELECT value FROM setting WHERE name = ${i % 2 ? 'motto' : 'vat'}`)
  for (const result of await Promise.all(reads)) {
    show(result)
  }
  await sql.end()
}

async function main() {
  console.log('postgres', require('./package.json').dependencies.postgres)
  for (const chore of [repeatedReads, types, ownWrites, transactions, errorsAndNotices, pieces, copies, notifications, pool, repeatedReads]) {
    await chore()
  }
  await sql.end()
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
