import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { run, seq, type StoreFailed } from "heddle"
import { expect, it } from "vitest"
import { openDatabase, schemaVersion, storeFailure } from "../../src/store/sqlite/database.ts"
import { toEvent } from "../../src/store/sqlite/rows.ts"
import { openSqlite, sqliteStore } from "../../src/store/sqlite/store.ts"
import { newRun } from "../support.ts"

const folder = () => mkdtempSync(join(tmpdir(), "heddle-sqlite-"))
const flow = seq("one").step("a", () => 1)
const failure = async (store: string): Promise<StoreFailed> => {
  const result = await run(flow, undefined, { store })
  const error = result._unsafeUnwrapErr()
  if (error._tag !== "StoreFailed") throw error
  return error
}

it("a file that is no database is refused and left as it is", async () => {
  const file = join(folder(), "notes.db")
  writeFileSync(file, "these are my notes, please keep them ".repeat(50))
  const error = await failure(file)
  expect(error.message).toBe(`${file}: open failed: it is not a Heddle database. Use another file`)
  expect(readFileSync(file, "utf8")).toContain("these are my notes")
})

it("a database of another program is refused", async () => {
  const file = join(folder(), "other.db")
  const db = new DatabaseSync(file)
  db.exec("CREATE TABLE mine (a)")
  db.close()
  expect((await failure(file)).reason).toContain("another program")
})

it("a database of a newer version is refused", async () => {
  const file = join(folder(), "new.db")
  openDatabase(file).close()
  const db = new DatabaseSync(file)
  db.exec(`PRAGMA user_version = ${schemaVersion + 1}`)
  db.close()
  expect((await failure(file)).reason).toContain(`newer Heddle (format ${schemaVersion + 1}, this one knows ${schemaVersion})`)
})

it("a folder that does not exist is named, and not made", async () => {
  const file = join(folder(), "no", "heddle.db")
  expect((await failure(file)).reason).toContain("the folder exists")
  expect(existsSync(join(file, ".."))).toBe(false)
})

it("a damaged file is said to be damaged", async () => {
  const file = join(folder(), "damaged.db")
  for (let i = 0; i < 20; i++) (await run(flow, undefined, { store: file, id: `r${i}` }))._unsafeUnwrap()
  const fd = openSync(file, "r+")
  for (let page = 1; page < 12; page++) writeSync(fd, Buffer.alloc(2000, 0x41), 0, 2000, page * 4096)
  closeSync(fd)
  const results = await Promise.all(Array.from({ length: 20 }, (_, i) => run(flow, undefined, { store: file, id: `r${i}` })))
  const errors = results.flatMap((result) => (result.isErr() ? [result.error] : []))
  expect(errors.length).toBeGreaterThan(0)
  for (const error of errors) expect(error._tag).toBe("StoreFailed")
})

it("a row of a damaged file that lacks what every row has is said to be damaged", () => {
  const row = { id: 1, at: 1, kind: "run.started", parent: "", name: "", data: null }
  expect(() => toEvent(row)).toThrow("the file is damaged: a row has no data")
  expect(toEvent({ ...row, data: "{}" })).toMatchObject({ seq: 1, data: "{}" })
})

it("a lock of another process is waited for, then told", async () => {
  const file = join(folder(), "locked.db")
  openDatabase(file).close()
  const other = new DatabaseSync(file)
  other.exec("BEGIN EXCLUSIVE")
  const exit = await Effect.runPromiseExit(
    Effect.scoped(
      Effect.flatMap(
        openSqlite(file, { busyTimeout: 20 }),
        (store) => store.runs.create(newRun()),
      ),
    ),
  )
  expect(JSON.stringify(exit)).toContain("locked by another process")
  other.close()
})

it("every result code a person can do something about has its sentence", () => {
  expect(storeFailure("f", "append", { errcode: 13 }).reason).toContain("disk is full")
  expect(storeFailure("f", "append", { errcode: 778 }).reason).toContain("disk reported an error")
  expect(storeFailure("f", "append", new Error("odd")).reason).toBe("odd")
  expect(storeFailure("f", "append", "odder").reason).toBe("odder")
})

it("migrating waits for another process that does the same", () => {
  const file = join(folder(), "twice.db")
  openDatabase(file).close()
  const db = openDatabase(file)
  expect(db.prepare("PRAGMA user_version").get()).toEqual({ user_version: schemaVersion })
  db.close()
})

it("a migration that fails leaves the file as it was", () => {
  const file = join(folder(), "half.db")
  const db = new DatabaseSync(file)
  db.exec(`PRAGMA application_id = ${0x48_44_44_4c}; CREATE TABLE events (mine)`)
  db.close()
  expect(() => openDatabase(file)).toThrow("already exists")
  const after = new DatabaseSync(file)
  expect(after.prepare("SELECT name FROM sqlite_schema").all()).toEqual([{ name: "events" }])
  after.close()
})

const opened = () => {
  const file = join(folder(), "heddle.db")
  const db = openDatabase(file)
  return { file, db, store: sqliteStore(db, file) }
}
const created = async (store: ReturnType<typeof sqliteStore>, id: string) =>
  (await Effect.runPromise(
    store.runs.create(newRun({ id })),
  )).run
const event = (seq: number) => ({ seq, kind: "step.completed", parent: "", name: `s${seq}`, data: "{}" }) as const

it("appends of one turn share a transaction", async () => {
  const { db, store } = opened()
  const runs = await Promise.all(Array.from({ length: 20 }, (_, i) => created(store, `r${i}`)))
  let commits = 0
  const exec = db.exec.bind(db)
  db.exec = (sql: string) => {
    if (sql === "COMMIT") commits++
    return exec(sql)
  }
  await Promise.all(runs.map((run) => Effect.runPromise(store.events.append(run, event(1), "sync"))))
  expect(commits).toBe(1)
})

it("a failed transaction fails what was in it, and the next one works", async () => {
  const { db, store } = opened()
  const [a, b] = [await created(store, "a"), await created(store, "b")]
  const exec = db.exec.bind(db)
  const full = (byItself: boolean) => (sql: string) => {
    if (sql !== "COMMIT") return exec(sql)
    if (byItself) exec("ROLLBACK")
    throw Object.assign(new Error("no space"), { errcode: 13 })
  }
  for (const byItself of [false, true]) {
    db.exec = full(byItself)
    // two appends of one run are one transaction; those of another run are tried again apart
    const exits = await Promise.all([1, 2].map((seq) => Effect.runPromiseExit(store.events.append(a, event(seq), "sync"))))
    for (const exit of exits) expect(JSON.stringify(exit)).toContain("disk is full")
    db.exec = exec
    expect(await Effect.runPromise(store.events.head(a))).toBe(0)
  }
  await Effect.runPromise(store.events.append(a, event(1), "sync"))
  const [good, bad] = await Promise.all([
    Effect.runPromiseExit(store.events.append(b, event(1), "sync")),
    Effect.runPromiseExit(store.events.append(a, event(1), "sync")),
  ])
  expect([good._tag, bad._tag]).toEqual(["Success", "Failure"])
})

it("a transaction that cannot begin fails its appends", async () => {
  const { db, store } = opened()
  const a = await created(store, "a")
  db.exec = () => {
    throw Object.assign(new Error("locked"), { errcode: 5 })
  }
  const exits = await Promise.all([1, 2].map((seq) => Effect.runPromiseExit(store.events.append(a, event(seq), "sync"))))
  for (const exit of exits) expect(JSON.stringify(exit)).toContain("locked by another process")
})

it("what goes wrong behind a run that does not wait is told at its next append", async () => {
  const { store } = opened()
  const run = await created(store, "late")
  await Effect.runPromise(store.runs.claim({ id: "late", fence: 1, status: "running" }, { owner: "other:2", lease: 1, status: "running" }))
  await Effect.runPromise(store.events.append(run, event(1), "async"))
  store.flush()
  expect(JSON.stringify(await Effect.runPromiseExit(store.events.append(run, event(2), "async")))).toContain("RunTakenOver")
})

it("what waits is written before the file closes", async () => {
  const file = join(folder(), "close.db")
  const scope = await Effect.runPromise(Scope.make())
  const store = await Effect.runPromise(Scope.provide(openSqlite(file), scope))
  const { run } = await Effect.runPromise(
    store.runs.create(newRun()),
  )
  await Effect.runPromise(store.events.append(run, event(1), "async"))
  await Effect.runPromise(Scope.close(scope, Exit.void))
  const again = sqliteStore(openDatabase(file), file)
  expect(await Effect.runPromise(again.events.head(run))).toBe(1)
})

it("a folder in the file's place is one clear error", async () => {
  const where = folder()
  mkdirSync(join(where, "heddle.db"))
  expect((await failure(join(where, "heddle.db"))).reason).toContain("it cannot be opened")
})

it("a run that another process creates between the look and the write is theirs", async () => {
  const file = join(folder(), "race.db")
  const [ours, theirs] = [openDatabase(file), openDatabase(file)]
  const other = sqliteStore(theirs, file)
  const create = (store: typeof other, input: string) => Effect.runPromise(store.runs.create(newRun({ input })))
  const prepare = ours.prepare.bind(ours)
  let looks = 0
  ours.prepare = (text: string) => {
    const statement = prepare(text)
    if (!text.startsWith("SELECT * FROM runs WHERE id = ?")) return statement
    const get = statement.get.bind(statement)
    // they come right after our first look
    statement.get = (
      id: unknown,
    ) => (looks++ === 0 ? (Effect.runSync(other.runs.create(newRun())), undefined) : get(id as string))
    return statement
  }
  expect(await create(sqliteStore(ours, file), "2")).toMatchObject({ created: false, run: { id: "x", input: "1" } })
  expect(await create(other, "3")).toMatchObject({ created: false, run: { input: "1" } })
  for (const db of [ours, theirs]) db.close()
})
