// A shop's chores with Drizzle, over node-postgres. Where to connect is in the
// environment.
'use strict'

const { and, arrayOverlaps, asc, eq, gt, inArray, relations, sql, sum } = require('drizzle-orm')
const { drizzle } = require('drizzle-orm/node-postgres')
const pg = require('drizzle-orm/pg-core')
const { Pool } = require('pg')

const setting = pg.pgTable('setting', { name: pg.text().primaryKey(), value: pg.text().notNull() })
const color = pg.pgEnum('color', ['red', 'green', 'blue'])
const bytea = pg.customType({ dataType: () => 'bytea' })
const item = pg.pgTable('item', {
  id: pg.integer().primaryKey(),
  name: pg.text().notNull().unique(),
  price: pg.numeric({ precision: 10, scale: 2 }).notNull(),
  stock: pg.integer().notNull(),
  tags: pg.text().array(),
  details: pg.jsonb(),
  photo: bytea(),
  hue: color(),
  weight: pg.doublePrecision(),
  made: pg.date(),
  changed: pg.timestamp({ withTimezone: true, mode: 'string' }),
  active: pg.boolean(),
})
const sale = pg.pgTable('sale', {
  id: pg.bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  item: pg.integer().notNull().references(() => item.id),
  amount: pg.integer().notNull(),
})
const itemRelations = relations(item, ({ many }) => ({ sales: many(sale) }))
const saleRelations = relations(sale, ({ one }) => ({ of: one(item, { fields: [sale.item], references: [item.id] }) }))

const pool = new Pool({ max: 1 })
const db = drizzle(pool, { schema: { setting, item, sale, itemRelations, saleRelations } })

const print = (...values) => console.log(...values.map((value) => JSON.stringify(value)))
const showError = ({ message, cause }) => print(message, cause?.code, cause?.message, cause?.constraint)

async function repeatedReads() {
  const byName = db.select().from(setting).where(eq(setting.name, sql.placeholder('name'))).prepare('setting_by_name')
  for (let i = 0; i < 10; i++) {
    for (const name of ['currency', 'motto']) {
      print(await db.select().from(setting).where(eq(setting.name, name)))
    }
    print(await db.query.setting.findFirst({ where: eq(setting.name, 'vat') }))
    print(await db.select({ value: setting.value }).from(setting).orderBy(asc(setting.name)))
    print(await byName.execute({ name: 'motto' }))
  }
}

async function types() {
  for (let i = 0; i < 3; i++) {
    print(await db.select().from(item).orderBy(item.id))
    print(await db.select({ name: item.name }).from(item).where(and(inArray(item.id, [1, 2, 3]), item.active)))
    print(await db.select({ name: item.name }).from(item).where(arrayOverlaps(item.tags, ['iron'])))
    print(await db.select({ name: item.name }).from(item).where(eq(item.photo, Buffer.from([0, 255, 16]))))
    print(await db.select({ name: item.name }).from(item).where(gt(item.changed, '2024-01-01T00:00:00Z')))
    print(await db.select({ name: item.name }).from(item).where(sql`${item.details} @> ${JSON.stringify({ a: [1] })}`))
    print(await db.$count(item, gt(item.stock, 1)))
  }
}

async function related() {
  for (let i = 0; i < 3; i++) {
    print(await db.query.item.findMany({ columns: { name: true }, with: { sales: { orderBy: sale.id } }, orderBy: item.id }))
    print(await db.select({ name: item.name, sold: sum(sale.amount) }).from(item)
      .leftJoin(sale, eq(sale.item, item.id)).groupBy(item.name).orderBy(item.name))
  }
}

const stockOf = (db, id) => db.select({ stock: item.stock }).from(item).where(eq(item.id, id))

async function ownWrites() {
  for (let stock = 0; stock < 20; stock++) {
    print(await db.update(item).set({ stock }).where(eq(item.id, 3)).returning({ stock: item.stock }))
    for (let i = 0; i < 2; i++) {
      print(await stockOf(db, 3))
    }
  }
  print(await db.insert(sale).values([{ item: 1, amount: 5 }, { item: 2, amount: 6 }]).returning())
  await db.insert(setting).values({ name: 'vat', value: '20' }).onConflictDoNothing()
  await db.delete(sale).where(eq(sale.amount, 6))
  print(await db.select().from(sale).orderBy(sale.id))
}

async function transactions() {
  await db.transaction(async (tx) => {
    await tx.update(item).set({ stock: sql`${item.stock} + 100` }).where(eq(item.id, 1))
    print(await stockOf(tx, 1))
    await tx.transaction((inner) => inner.update(item).set({ stock: -1 })).catch(showError)
    print(await stockOf(tx, 1))
  })
  print(await stockOf(db, 1))
  await db.transaction(async (tx) => {
    await tx.update(item).set({ stock: 7 }).where(eq(item.id, 1))
    print(await stockOf(tx, 1))
    tx.rollback()
  }, { isolationLevel: 'repeatable read' }).catch(showError)
  print(await stockOf(db, 1))
}

async function errors() {
  await db.insert(item).values({ id: 1, name: 'x', price: '1', stock: 1 }).catch(showError)
  for (const text of ['SELECT nothing FROM item', 'SELEC 1', 'SELECT 1 / (stock - stock) FROM item']) {
    await db.execute(text).catch(showError)
    print(await stockOf(db, 1))
  }
}

async function main() {
  const { dependencies } = require('./package.json')
  console.log('drizzle-orm', dependencies['drizzle-orm'], 'with pg', dependencies.pg)
  for (const chore of [repeatedReads, types, related, ownWrites, transactions, errors, repeatedReads]) {
    await chore()
  }
  await pool.end()
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
