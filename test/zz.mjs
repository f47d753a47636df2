import { appendFileSync } from "node:fs"
import { openHeddle, seq } from "heddle"
const work = seq("work", { session: {} }).step("w", async ({ session }, { run }) => {
  appendFileSync("/tmp/wk.log", `begin ${session.id} ${process.pid}\n`)
  await new Promise((done) => setTimeout(done, 20))
  appendFileSync("/tmp/wk.log", `end ${session.id} ${process.pid}\n`)
})
const heddle = (await openHeddle({ store: "/tmp/wk.db" }))._unsafeUnwrap()
if (process.argv[2] === "start") {
  for (const id of ["a", "b", "c"]) {
    await heddle.sessions.create({ id })
    for (let n = 0; n < 8; n++) await heddle.start(work, undefined, { id: id + n, session: id })
  }
} else {
  console.log(await heddle.worker([work], { concurrency: 5, perSession: 1, poll: 10 }))
  for (let i = 0; i < 100; i++) {
    const l = (await heddle.list({ status: "completed", limit: 100 }))._unsafeUnwrap().length
    if (l === 24) break
    if (i % 10 === 0) console.log(l, (await heddle.list({ limit: 100 }))._unsafeUnwrap().map((r) => r.id + r.status + (r.due - Date.now())).join(" "))
    await new Promise((done) => setTimeout(done, 20))
  }
}
console.log("closing")
await heddle.close()
