/** What any `Store` must do with state, sessions, artifacts and content. */
import * as Effect from "effect/Effect"
import type { NewArtifact } from "../../model/artifact.ts"
import type { StateWrite } from "../../model/state-entry.ts"
import { Store } from "../../store/store.ts"
import { event, newRun, same, type StoreCheck, tagOfFailure } from "./runs.ts"

const write = (name: string, value: string | undefined, more: Partial<StateWrite> = {}): StateWrite => ({
  scope: "global",
  name,
  expected: undefined,
  next: () => (value === undefined ? undefined : { value, version: 1, until: undefined }),
  ...more,
})
const session = (id: string, more: { readonly user?: string; readonly parent?: string; readonly tags?: ReadonlyArray<string> } = {}) => ({
  id,
  name: undefined,
  user: more.user,
  parent: more.parent,
  context: "{}",
  policy: "{}",
  tags: more.tags ?? [],
})
const artifact = (name: string, hash: string, more: Partial<NewArtifact> = {}): NewArtifact => ({
  session: "s",
  name,
  hash,
  size: 10,
  mime: "text/plain",
  type: "note",
  tags: [],
  about: "{}",
  by: undefined,
  from: [],
  grants: [],
  ...more,
})
const roomy = { count: 100, bytes: 1000 }
const bytes = (text: string) => new TextEncoder().encode(text)
const hashOf = (letter: string) => letter.repeat(64)

export const serviceConformance: Readonly<Record<string, StoreCheck>> = {
  "values are written together, each with a revision that grows, and read by name": Effect.gen(function*() {
    const { states } = yield* Store
    const before = yield* states.revision
    const changes = yield* states.commit([write("a/1", "1"), write("a/2", "2"), write("b", "3")])
    yield* same(changes.map(({ name, before: was, after }) => [name, was, after!.value]), [["a/1", undefined, "1"], ["a/2", undefined, "2"], [
      "b",
      undefined,
      "3",
    ]])
    const found = yield* states.get("global", "b")
    yield* same([found!.value, found!.revision > before, (yield* states.revision) === found!.revision], ["3", true, true])
    yield* same((yield* states.list("global", "a/")).map(({ name, value }) => [name, value]), [["a/1", "1"], ["a/2", "2"]])
    yield* same((yield* states.list("global", "", 1)).map(({ name }) => name), ["a/1"])
    yield* same((yield* states.list("global", "a/", 1000, 0, "a/1")).map(({ name }) => name), ["a/2"])
    yield* same([yield* states.get("global", "c"), yield* states.get("user:x", "b"), yield* states.list("user:x", "")], [undefined, undefined, []])
    yield* states.commit([write("a/1", undefined)])
    yield* same([yield* states.get("global", "a/1"), (yield* states.revision) > found!.revision], [undefined, true])
  }),
  "a change is made of what is there, and refused where that is not what was seen; then nothing is written": Effect.gen(function*() {
    const { states } = yield* Store
    yield* states.commit([write("n", "1")])
    const [change] = yield* states.commit([
      write("n", undefined, { next: (now) => ({ value: String(Number(now!.value) + 1), version: 2, until: 99 }) }),
    ])
    yield* same([change!.before!.value, change!.after!.value, change!.after!.version, change!.after!.until], ["1", "2", 2, 99])
    const refused = yield* Effect.exit(states.commit([write("other", "1"), write("n", "9", { expected: 1_000_000 })]))
    yield* same([tagOfFailure(refused), yield* states.get("global", "other"), (yield* states.get("global", "n"))!.value], ["StateConflict", undefined, "2"])
    yield* same(tagOfFailure(yield* Effect.exit(states.commit([write("n", "9", { expected: 0 })]))), "StateConflict")
    const throwing = write("n", undefined, {
      next: () => {
        throw new Error("no")
      },
    })
    yield* same([tagOfFailure(yield* Effect.exit(states.commit([write("other", "1"), throwing]))), yield* states.get("global", "other")], [
      "StoreFailed",
      undefined,
    ])
    const seen = (yield* states.get("global", "n"))!.revision
    yield* states.commit([write("n", "3", { expected: seen }), write("fresh", "1", { expected: 0 })])
    yield* same([(yield* states.get("global", "n"))!.value, (yield* states.get("global", "fresh"))!.value], ["3", "1"])
    yield* same(yield* states.commit([write("n", undefined, { next: (now) => now })]), [])
  }),
  "values that are over are deleted when asked, and a scope is cleared": Effect.gen(function*() {
    const { states } = yield* Store
    const until = (at: number | undefined) => ({ next: () => ({ value: "1", version: 1, until: at }) })
    yield* states.commit([write("a", "", until(10)), write("b", "", until(20)), write("c", "", until(undefined))])
    yield* same([yield* states.expire(5), yield* states.expire(10), (yield* states.list("global", "")).map(({ name }) => name)], [0, 1, ["b", "c"]])
    const before = yield* states.revision
    yield* states.clear("global")
    yield* states.clear("nothing")
    yield* same([yield* states.list("global", ""), (yield* states.revision) > before], [[], true])
  }),
  "an event and changes of state are written together or not at all": Effect.gen(function*() {
    const { runs, events, states } = yield* Store
    const { run } = yield* runs.create(newRun("commits"))
    const next = () => ({ seq: 1, kind: "step.completed", parent: "", name: "s" }) as const
    const said = (changes: ReadonlyArray<{ readonly name: string }>) => JSON.stringify(changes.map(({ name }) => name))
    const refused = yield* Effect.exit(events.commit(run, next, [write("x", "1"), write("y", "1", { expected: 7 })], "{\"output\":1}", said))
    yield* same([tagOfFailure(refused), yield* events.head(run), yield* states.get("global", "x")], ["StateConflict", 0, undefined])
    yield* events.commit(run, next, [write("x", "1"), { ...write("own", "2"), scope: "run:commits" }], "{\"output\":1}", said)
    yield* same([(yield* events.at(run, 1))!.data, (yield* states.get("global", "x"))!.value], ["{\"output\":1,\"state\":[\"x\",\"own\"]}", "1"])
    yield* runs.claim(run, { owner: "there:2", lease: 1, status: "running" })
    const late = yield* Effect.exit(events.commit(run, () => ({ ...next(), seq: 2 }), [write("x", "2")], "{\"output\":1}", said))
    yield* same([tagOfFailure(late), (yield* states.get("global", "x"))!.value], ["RunTakenOver", "1"])
    yield* same(tagOfFailure(yield* Effect.exit(events.commit({ ...run, id: "stranger" }, next, [write("x", "2")], "{\"output\":1}", said))), "RunTakenOver")
    yield* runs.remove(["commits"])
    yield* same(yield* states.list("run:commits", ""), [])
  }),
  "sessions are created once, found, changed by whoever has seen them last, and removed": Effect.gen(function*() {
    const { sessions } = yield* Store
    const { created, session: one } = yield* sessions.create(session("one", { user: "ada", tags: ["x"] }))
    const again = yield* sessions.create(session("one", { user: "bob" }))
    yield* same([created, again.created, again.session.user, one.status, one.revision], [true, false, "ada", "active", 1])
    yield* sessions.create(session("two", { parent: "one" }))
    const ids = (filter: Parameters<typeof sessions.list>[0]) => Effect.map(sessions.list(filter), (found) => found.map(({ id }) => id))
    yield* same([yield* ids({}), yield* ids({ user: "ada" }), yield* ids({ parent: "one" }), yield* ids({ tag: "x" }), yield* ids({ limit: 1 })], [
      ["two", "one"],
      ["one"],
      ["two"],
      ["one"],
      ["two"],
    ])
    const saved = yield* sessions.save({ ...one, status: "suspended", reason: "later", usedAt: 5, endedAt: 6, name: "n" })
    yield* same([saved.status, saved.reason, saved.revision, saved.usedAt >= one.usedAt, saved.endedAt, saved.name], ["suspended", "later", 2, true, 6, "n"])
    yield* same(tagOfFailure(yield* Effect.exit(sessions.save(one))), "SessionConflict")
    yield* same(tagOfFailure(yield* Effect.exit(sessions.save({ ...one, id: "nobody" }))), "SessionNotFound")
    yield* same(tagOfFailure(yield* Effect.exit(sessions.get("nobody"))), "SessionNotFound")
    const later = one.usedAt + 1000
    yield* sessions.touch("one", later)
    yield* sessions.touch("one", 1)
    yield* sessions.touch("nobody", 1)
    yield* sessions.carry("one", "{\"runs\":2}")
    yield* sessions.carry("nobody", "{}")
    yield* same((yield* sessions.get("one")).carried, "{\"runs\":2}")
    yield* same([(yield* sessions.get("one")).usedAt, yield* ids({ status: "suspended" }), yield* ids({ unusedSince: later })], [later, ["one"], ["two"]])
    yield* sessions.remove(["one"])
    yield* same(yield* ids({}), ["two"])
  }),
  "artifacts have versions of their own in each session, and a quota": Effect.gen(function*() {
    const { artifacts } = yield* Store
    const first = yield* artifacts.put(artifact("a", "h1"), roomy)
    const same1 = yield* artifacts.put(artifact("a", "h1", { by: "r/late" }), { count: 0, bytes: 0 })
    const second = yield* artifacts.put(artifact("a", "h2", { tags: ["t"], from: ["s/a@1"], by: "r/step", about: "{\"n\":1}" }), roomy)
    yield* artifacts.put(artifact("a", "h1", { session: "other" }), roomy)
    yield* same([first.version, same1.nr === first.nr, second.version, second.from], [1, true, 2, ["s/a@1"]])
    yield* same([
      (yield* artifacts.get("s", "a"))!.version,
      (yield* artifacts.get("s", "a", 1))!.hash,
      yield* artifacts.get("s", "a", 3),
      yield* artifacts.get("s", "b"),
    ], [2, "h1", undefined, undefined])
    for (const quota of [{ count: 2, bytes: 1000 }, { count: 9, bytes: 25 }]) {
      yield* same(tagOfFailure(yield* Effect.exit(artifacts.put(artifact("b", "h3"), quota))), "ArtifactRefused")
    }
    yield* same(yield* artifacts.usage("s"), { count: 2, bytes: 20 })
    const names = (filter: Parameters<typeof artifacts.list>[0]) =>
      Effect.map(artifacts.list(filter), (found) => found.map(({ session: of, version }) => `${of}@${version}`))
    yield* same(yield* names({}), ["other@1", "s@2", "s@1"])
    yield* same(yield* names({ session: "s", newest: true }), ["s@2"])
    yield* same([yield* names({ tag: "t" }), yield* names({ by: "r" }), yield* names({ by: "r/step" }), yield* names({ hash: "h1" })], [["s@2"], ["s@2"], [
      "s@2",
    ], ["other@1", "s@1"]])
    yield* same([yield* names({ name: "%" }), yield* names({ name: "a", limit: 1 }), yield* names({ below: second.nr })], [[], ["other@1"], ["s@1"]])
    yield* same([yield* names({ type: "note", mime: "text/plain", after: 0 }), yield* names({ before: 1 }), yield* names({ type: "x" })], [
      ["other@1", "s@2", "s@1"],
      [],
      [],
    ])
    yield* artifacts.change(second.nr, { grants: [{ to: "*", may: "read" }] })
    yield* artifacts.change(second.nr, { tags: ["u"] })
    const changed = yield* artifacts.get("s", "a")
    yield* same([changed!.tags, changed!.grants, changed!.about], [["u"], [{ to: "*", may: "read" }], "{\"n\":1}"])
    yield* artifacts.remove([second.nr])
    yield* same([(yield* artifacts.get("s", "a"))!.version, (yield* artifacts.put(artifact("c", "h4"), roomy)).nr > second.nr], [1, true])
  }),
  "content is kept once, found when it is sealed, and swept when nothing refers to it": Effect.gen(function*() {
    const { runs, events, artifacts, blobs } = yield* Store
    const blob = (letter: string) => ({ hash: hashOf(letter), size: 2, stored: 2, encoding: "plain", chunks: 2 }) as const
    const upload = (id: string) => Effect.andThen(blobs.write(id, 0, bytes("x")), blobs.write(id, 1, bytes("y")))
    yield* upload("one")
    yield* same(yield* blobs.get(hashOf("a")), undefined)
    yield* same(yield* blobs.seal("one", blob("a")), { existed: false })
    yield* upload("two")
    yield* same(yield* blobs.seal("two", blob("a")), { existed: true })
    yield* same([yield* blobs.get(hashOf("a")), Array.from((yield* blobs.read(hashOf("a"), 1))!)], [blob("a"), [121]])
    yield* same([yield* blobs.read(hashOf("a"), 2), yield* blobs.read(hashOf("z"), 0)], [undefined, undefined])
    yield* upload("dropped")
    yield* blobs.abandon("dropped")
    yield* upload("forgotten")
    for (const letter of ["b", "c"]) {
      yield* upload(letter)
      yield* blobs.seal(letter, blob(letter))
    }
    yield* artifacts.put(artifact("keeps", hashOf("b")), roomy)
    const { run } = yield* runs.create(newRun("refers"))
    yield* events.append(run, { ...event(1), data: `{"blob":"${hashOf("c")}"}` }, "sync")
    yield* blobs.seal("empty", { hash: hashOf("e"), size: 0, stored: 0, encoding: "plain", chunks: 0 })
    yield* same([yield* blobs.sweep(0), yield* blobs.sweep(Date.now() + 1000)], [0, 2])
    yield* same([yield* blobs.get(hashOf("a")), (yield* blobs.get(hashOf("b")))!.chunks, (yield* blobs.get(hashOf("c")))!.chunks], [undefined, 2, 2])
    yield* same(yield* blobs.seal("forgotten", blob("f")), { existed: false })
    yield* same(yield* blobs.read(hashOf("f"), 0), undefined)
  }),
}
