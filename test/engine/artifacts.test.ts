/** Artifacts: named, versioned, found by their content. */
import { createHash, randomBytes } from "node:crypto"
import { Readable } from "node:stream"
import { Effect, Stream } from "effect"
import { Artifacts, Heddle, openHeddle, seq } from "heddle"
import { crashEverywhere } from "heddle/testing"
import { expect, it } from "vitest"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { readWhole, writeContent } from "../../src/store/content.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { failing, failure, file, go } from "../support.ts"

const sha = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex")

it("a step keeps text, bytes and what comes in parts, and finds it again", async () => {
  const heddle = makeHeddle(memoryStore())
  const kept: Array<string> = []
  heddle.listen(({ kind, path, data }) => void (kind === "artifact.kept" && kept.push(`${path} ${data}`)))
  const flow = seq("f").step("put", async (_, { artifacts }) => {
    const text = await artifacts.put("a/notes.md", "héllo", {
      mime: "text/markdown; charset=utf-8",
      type: "note",
      tags: ["x"],
      about: { n: 1, at: new Date(0) },
    })
    await artifacts.put("raw", new Uint8Array([1, 2, 3]), { from: [text] })
    await artifacts.put(
      "parts",
      (async function*() {
        yield "one "
        yield new TextEncoder().encode("two")
      })(),
      { from: [text, { id: "s/raw@1" }, { id: "s/gone@9" }] },
    )
    await artifacts.put("web", new Response("web").body!)
    await artifacts.put("node", Readable.from([Buffer.from("node")]))
    await artifacts.put("empty", "")
    return text
  }).step("read", async (_, { artifacts }) => {
    const parts: Array<string> = []
    for await (const part of artifacts.read("web")) parts.push(new TextDecoder().decode(part))
    return {
      id: (await artifacts.get("a/notes.md")).id,
      text: await artifacts.text("a/notes.md"),
      bytes: [...await artifacts.bytes("raw")],
      all: await artifacts.text("parts"),
      parts,
      empty: await artifacts.bytes("empty"),
      names: (await artifacts.list()).map(({ name }) => name),
      made: (await artifacts.lineage("parts")).map(({ id }) => id),
      tagged: (await artifacts.list({ tag: "x", type: "note", by: "r", since: 1 })).map(({ by }) => by),
    }
  }).step("effects", function*() {
    const streamed = yield* Artifacts.put("streamed", Stream.make(new TextEncoder().encode("a"), new TextEncoder().encode("b")))
    const parts = yield* Stream.runCollect(yield* Effect.succeed(Artifacts.read("streamed")))
    const [got, all] = [yield* Artifacts.get("streamed"), yield* Artifacts.list({ name: "streamed", limit: 1 })]
    return {
      size: streamed.size,
      parts: parts.length,
      text: yield* Artifacts.text("streamed"),
      gone: yield* Effect.match(Artifacts.remove("streamed", { version: 99 }), { onSuccess: () => "removed", onFailure: ({ _tag }) => _tag as string }),
      bytes: (yield* Artifacts.bytes("streamed")).length,
      same: got.id === all[0]!.id,
      from: (yield* Artifacts.lineage("parts")).map(({ id }) => id),
    }
  })
  expect(await go(heddle.run(flow, undefined, { id: "r", session: "s" }))).toMatchObject({
    put: {
      id: "s/a/notes.md@1",
      version: 1,
      hash: sha("héllo"),
      size: 6,
      mime: "text/markdown; charset=utf-8",
      about: { n: 1, at: new Date(0) },
      by: "r/put",
      from: [],
    },
    read: {
      text: "héllo",
      bytes: [1, 2, 3],
      all: "one two",
      parts: ["web"],
      empty: new Uint8Array(),
      names: ["empty", "node", "web", "parts", "raw", "a/notes.md"],
      tagged: ["r/put"],
      made: ["s/a/notes.md@1", "s/raw@1"],
    },
    effects: { size: 2, parts: 1, text: "ab", bytes: 2, same: true, from: ["s/a/notes.md@1", "s/raw@1"] },
  })
  expect(kept[0]).toBe("put {\"artifact\":\"s/a/notes.md@1\",\"size\":6}")
})

it("the same content is the same version and kept once, however often the step runs", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  const put = (name: string, content: string) => heddle.artifacts.put(name, content)
  const [one, again, two, other] = [await go(put("a", "x")), await go(put("a", "x")), await go(put("a", "y")), await go(put("b", "x"))]
  expect([one.version, again.version, two.version, other.hash === one.hash]).toEqual([1, 1, 2, true])
  expect([await go(heddle.artifacts.text("a")), await go(heddle.artifacts.text("a", { version: 1 }))]).toEqual(["y", "x"])
  expect((await go(heddle.artifacts.list({ name: "a", newest: false }))).map(({ version }) => version)).toEqual([2, 1])
  const flow = seq("f").step("s", async (_, { artifacts }) => (await artifacts.put("page", "<h1>")).version).step(
    "t",
    async (_, { artifacts }) => (await artifacts.put("page", "<h2>")).version,
  )
  expect(await crashEverywhere(flow, undefined, { kills: 2 })).toMatchObject({ wrong: [], repeated: [] })
})

it("large content goes through in parts, compressed where that pays, and comes back the same", async () => {
  await go(Effect.scoped(Effect.gen(function*() {
    const store = yield* openSqlite(file())
    const heddle = makeHeddle(store)
    const random = randomBytes(3_500_000)
    const dull = Buffer.alloc(5_000_000, "heddle ")
    for (const [name, content, encoding] of [["random", random, "plain"], ["dull", dull, "zstd"], ["small", Buffer.from("x"), "plain"]] as const) {
      const pieces = Array.from({ length: Math.ceil(content.length / 700_001) }, (_, i) => content.subarray(i * 700_001, (i + 1) * 700_001))
      const kept = yield* heddle.artifacts.put(name, Stream.fromIterable(pieces))
      expect([kept.hash, kept.size]).toEqual([sha(content), content.length])
      const blob = (yield* store.blobs.get(kept.hash))!
      expect([blob.encoding, blob.stored < content.length]).toEqual([encoding, encoding === "zstd"])
      expect(sha(yield* heddle.artifacts.bytes(name))).toBe(kept.hash)
    }
    yield* heddle.artifacts.put("copy", dull)
    expect((yield* heddle.artifacts.verify()).length).toBe(0)
  })))
})

it("what is damaged or missing is an error, and found by verify", async () => {
  const store = memoryStore()
  const wrong = makeHeddle({
    ...store,
    blobs: {
      ...store.blobs,
      read: (hash, n) =>
        Effect.map(store.blobs.read(hash, n), (bytes) => (hash === sha("lost") ? undefined : hash === sha("flipped") ? new Uint8Array([1]) : bytes)),
      get: (hash) =>
        Effect.map(
          store.blobs.get(hash),
          (blob) => (hash === sha("gone") ? undefined : hash === sha("packed") ? { ...blob!, encoding: "zstd" as const } : blob),
        ),
    },
  })
  for (const text of ["fine", "lost", "flipped", "gone", "packed"]) await go(wrong.artifacts.put(text, text))
  const reasons = (await go(wrong.artifacts.verify(""))).map((
    { name, reason },
  ) => [name, /lacks chunk 0|damaged chunk 0|its hash says|content is missing/.exec(reason)?.[0]])
  expect(reasons).toEqual([["packed", "damaged chunk 0"], ["gone", "content is missing"], ["flipped", "its hash says"], ["lost", "lacks chunk 0"]])
  expect(await failure(wrong.artifacts.bytes("flipped"))).toMatchObject({ _tag: "StoreFailed" })
  expect(await go(readWhole(store, "nothing"))).toBeUndefined()
})

it("content that fails half way leaves nothing", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  const broken = heddle.artifacts.put(
    "x",
    (async function*() {
      yield Buffer.alloc(2_000_000)
      throw new Error("the line is dead")
    })(),
  )
  expect(await failure(broken)).toMatchObject({ _tag: "ArtifactRefused", reason: "its content could not be read: the line is dead" })
  expect(await failure(heddle.artifacts.put("x", Stream.fail("own error" as const)))).toBe("own error")
  expect(await go(heddle.artifacts.list())).toEqual([])
  expect(await failure(writeContent(failing(store, "blobs.write"), Stream.make(new Uint8Array(1))))).toMatchObject({ _tag: "StoreFailed" })
})

it("a session keeps what is its own, up to its quota, and grants what it wants", async () => {
  const heddle = makeHeddle(memoryStore())
  const { artifacts } = heddle
  await go(heddle.sessions.create({ id: "s", policy: { artifacts: 2, artifactBytes: 10 } }))
  const asking = (session: string | undefined) => (ask: (_: unknown, step: any) => Promise<any>): Promise<any> =>
    go(Effect.match(heddle.run(seq("ask").step("s", ask), undefined, { session }), { onSuccess: ({ s }) => s, onFailure: ({ _tag }: any) => _tag }))
  const [mine, theirs] = [asking("s"), asking("other")]
  await mine((_, step) => step.artifacts.put("report", "12345"))
  expect(await mine((_, step) => step.artifacts.put("large", "123456"))).toBe("ArtifactRefused")
  await mine((_, step) => step.artifacts.put("second", "1"))
  expect(await mine((_, step) => step.artifacts.put("third", "1"))).toBe("ArtifactRefused")
  const read = (_: unknown, step: any) => step.artifacts.text("report", { session: "s" })
  expect([await theirs(read), await asking(undefined)(read), await mine(read)]).toEqual(["ArtifactNotFound", "ArtifactNotFound", "12345"])
  expect(await theirs((_, step) => step.artifacts.put("report", "x", { session: "s" }))).toBe("ArtifactRefused")
  expect(await theirs((_, step) => step.artifacts.list({ session: "s" }))).toEqual([])
  const place = { session: "s" }
  await go(artifacts.grant("report", { to: "other", may: "read" }, place))
  await go(artifacts.grant("report", { to: "other", may: "read" }, place))
  await go(artifacts.grant("report", { to: "*", may: "read", until: Date.now() - 1 }, place))
  expect([await theirs(read), await asking(undefined)(read)]).toEqual(["12345", "ArtifactNotFound"])
  await go(artifacts.grant("report", { to: "other", may: "write" }, place))
  expect(await theirs((_, step) => step.artifacts.put("report", "new", { session: "s" }))).toBe("ArtifactRefused")
  await go(artifacts.remove("second", place))
  expect(await theirs(async (_, step) => (await step.artifacts.put("report", "new", { session: "s" })).version)).toBe(2)
  expect(await theirs((_, step) => step.artifacts.text("report", { session: "s" }))).toBe("new")
  await go(artifacts.revoke("report", "other", { ...place, version: 1 }))
  expect(await theirs((_, step) => step.artifacts.text("report", { session: "s", version: 1 }))).toBe("ArtifactNotFound")
  const owned = seq("own").step("s", () => Effect.succeed(1))
  await go(heddle.run(owned, undefined))
  await go(artifacts.grant("report", { to: "*", may: "read" }, place))
  const { ArtifactView } = await import("../../src/services/artifacts.ts")
  const view = new ArtifactView(memoryStore(), {
    session: "x",
    by: undefined,
    quota: () => Effect.succeed({ count: 9, bytes: 9 }),
    kept: () => undefined,
    warned: () => Effect.void,
  })
  expect(await failure(view.tag("nothing", []))).toMatchObject({ _tag: "ArtifactNotFound" })
  await go(artifacts.tag("report", ["final"], place))
  expect((await go(artifacts.list({ tag: "final" }))).map(({ id }) => id)).toEqual(["s/report@2"])
})

it("only whoever owns it can change it", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  await go(heddle.artifacts.put("a", "x", { session: "s" }))
  await go(heddle.artifacts.grant("a", { to: "*", may: "read" }, { session: "s" }))
  const { ArtifactView } = await import("../../src/services/artifacts.ts")
  const stranger = new ArtifactView(store, {
    session: "other",
    by: undefined,
    quota: () => Effect.succeed({ count: 9, bytes: 9 }),
    kept: () => undefined,
    warned: () => Effect.void,
  })
  expect(await failure(stranger.remove("a", { session: "s" }))).toMatchObject({
    _tag: "ArtifactRefused",
    reason: expect.stringContaining("belongs to another session"),
  })
  await go(heddle.artifacts.put("b", "y", { session: "t", from: [{ id: "s/a@1" }] }))
  await go(heddle.artifacts.put("secret", "z", { session: "hidden" }))
  await go(heddle.artifacts.put("c", "y", { session: "other", from: [{ id: "t/b@1" }, { id: "hidden/secret@1" }, { id: "s/a@1" }] }))
  expect((await go(stranger.lineage("c"))).map(({ id }) => id)).toEqual(["s/a@1"])
})

it("names, types and descriptions are checked", async () => {
  const { artifacts } = makeHeddle(memoryStore())
  for (const name of ["", "../x", "a/../b", "/x", "a//b", ".", "a/", "x".repeat(300), "a\u0000", "e\u0301", "-x"]) {
    expect(await failure(artifacts.put(name, "x"))).toMatchObject({ _tag: "ArtifactRefused", reason: expect.stringContaining("never goes up with ..") })
  }
  expect((await failure(artifacts.put("x", "x", { mime: "text" }))).message).toContain("is no MIME type")
  expect((await failure(artifacts.put("x", "x", { about: { f: () => 1 } }))).message).toContain("at f is a function")
  await expect(go(artifacts.put("x", "x", {
    about: {
      get g() {
        throw new Error("getter")
      },
    } as never,
  }))).rejects.toThrow("getter")
  expect((await failure(artifacts.get("x", { version: 3 }))).message).toContain("'/x@3'")
})

it("what a step keeps counts for the bytes its run may spend; content nothing refers to goes with prune", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  const flow = seq("f", { budget: { bytes: 10 } }).step("s", async (_, { artifacts }) => void await artifacts.put("a", "x".repeat(11)))
  expect(await failure(heddle.run(flow, undefined, { id: "r" }))).toMatchObject({ _tag: "LimitExceeded", limit: "bytes", used: 11 })
  const effect = seq("f", { budget: { bytes: 10 } }).step("s", () => Artifacts.put("b", "x".repeat(12)))
  expect(await failure(heddle.run(effect, undefined))).toMatchObject({ _tag: "LimitExceeded", limit: "bytes", used: 12 })
  await go(heddle.artifacts.remove("a"))
  await go(heddle.prune())
  expect((await go(store.blobs.get(sha("x".repeat(11)))))?.size).toBe(11)
  expect(await go(store.blobs.sweep(Date.now() + 1))).toBe(11)
})

it("from outside, with promises", async () => {
  const heddle = (await openHeddle({ store: file() }))._unsafeUnwrap()
  const { artifacts, sessions } = heddle
  const kept = (await artifacts.put("a", "text", { session: "s", from: [] }))._unsafeUnwrap()
  const place = { session: "s" }
  const parts: Array<Uint8Array> = []
  for await (const part of artifacts.read("a", place)) parts.push(part)
  expect([
    kept.id,
    Buffer.concat(parts).toString(),
    (await artifacts.text("a", place))._unsafeUnwrap(),
    (await artifacts.bytes("a", place))._unsafeUnwrap().length,
    (await artifacts.get("a", place))._unsafeUnwrap().id,
    (await artifacts.list())._unsafeUnwrap().length,
    (await artifacts.lineage("a", place))._unsafeUnwrap(),
    (await artifacts.verify())._unsafeUnwrap(),
  ]).toEqual(["s/a@1", "text", "text", 4, "s/a@1", 1, [], []])
  for (const done of [artifacts.grant("a", { to: "*", may: "read" }, place), artifacts.revoke("a", "*", place), artifacts.tag("a", ["x"], place)]) {
    ;(await done)._unsafeUnwrap()
  }
  expect((await sessions.create({ id: "s" }))._unsafeUnwrap().id).toBe("s")
  expect((await sessions.get("s"))._unsafeUnwrap().status).toBe("active")
  expect((await sessions.change("s", { name: "n" }))._unsafeUnwrap().name).toBe("n")
  expect((await sessions.usage("s"))._unsafeUnwrap()).toEqual({ runs: 0, artifacts: 1, artifactBytes: 4 })
  expect((await sessions.list({ user: "x" }))._unsafeUnwrap()).toEqual([])
  const text = (await sessions.export("s"))._unsafeUnwrap()
  expect((await sessions.import(text, "t"))._unsafeUnwrap().id).toBe("t")
  ;(await sessions.suspend("s"))._unsafeUnwrap()
  expect((await sessions.fail("s", "x"))._unsafeUnwrap().reason).toBe("x")
  expect((await sessions.archive("s"))._unsafeUnwrap().name).toBe("sessions/s.json")
  expect((await sessions.retire())._unsafeUnwrap()).toEqual({ ended: [], retired: [], failed: [] })
  ;(await artifacts.remove("a", { session: "t" }))._unsafeUnwrap()
  await heddle.close()
  const program = Heddle.use((service) => service.artifacts.put("x", "y"))
  expect(await go(Effect.provide(program, Heddle.layerMemory))).toMatchObject({ version: 1 })
})
