/** Attacks on what lies outside: files, network, programs, the database. */
import dns from "node:dns/promises"
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Worker } from "node:worker_threads"
import { Effect, Stream } from "effect"
import { Tar } from "effect/encoding"
import { openHeddle, seq, state } from "heddle"
import { files, programs, web } from "heddle/tools"
import { Root } from "../../src/builtin/tools/root.ts"
import { allRefused, type Attack, folder, serving, thrown, used } from "./kit.ts"

export const reach: ReadonlyArray<Attack> = [
  {
    id: 35,
    attack: "paths, also in archives, that go up, out, through links, pipes and hard links, or are swapped while they are opened",
    run: async () => {
      const at = folder()
      const [inside, outside] = [join(at, "root"), join(at, "root-evil")]
      mkdirSync(join(inside, "sub"), { recursive: true })
      mkdirSync(outside)
      writeFileSync(join(outside, "f"), "OUTSIDE")
      writeFileSync(join(inside, "sub/f"), "INSIDE")
      symlinkSync(outside, join(inside, "folder"))
      symlinkSync(join(outside, "f"), join(inside, "file"))
      const names = [
        "../root-evil/f",
        "sub/../../root-evil/f",
        join(outside, "f"),
        `${inside}-evil/f`,
        "folder/f",
        "file",
        "a\0b",
        "C:/x",
        "..\\x",
        "\ud800",
        "x".repeat(300),
        "/etc/passwd",
        `${"a/".repeat(70)}f`,
        "x/".repeat(3000),
      ]
      const outcomes = [false, true].flatMap((portable) => {
        const root = new Root(inside, portable)
        const got = names.flatMap((name) => [thrown(() => root.read(name, 100)), thrown(() => root.write(name, "PWNED"))])
        root.close()
        return got.filter((one) => one !== "missing" && one !== "ENAMETOOLONG")
      })
      const tools = files({ root: inside })
      const slip = await Effect.runPromise(Stream.runCollect(Stream.pipeThroughChannel(Stream.make(Tar.file("../root-evil/f", "PWNED")), Tar.encode())))
      writeFileSync(join(inside, "slip.tar"), Buffer.concat(slip))
      const asked = [await used(tools.read, { path: "../root-evil/f" }), await used(tools.unpack, { archive: "slip.tar", path: "" })]
      tools.close()
      symlinkSync(outside, join(inside, "x"))
      const swapping = new Worker(
        `const fs=require('fs');const R=${
          JSON.stringify(inside)
        };for(;;){fs.renameSync(R+'/sub',R+'/s1');fs.renameSync(R+'/x',R+'/sub');fs.renameSync(R+'/sub',R+'/x');fs.renameSync(R+'/s1',R+'/sub')}`,
        { eval: true },
      )
      swapping.on("error", () => undefined)
      const root = new Root(inside)
      let [reads, leaks] = [0, 0]
      for (const end = Date.now() + 700; Date.now() < end;) {
        const got = thrown(() => root.read("sub/f", 100))
        if (got.includes("INSIDE")) reads++
        if (got.includes("OUTSIDE")) leaks++
      }
      await swapping.terminate()
      root.close()
      const untouched = readdirSync(outside).length === 1 && readFileSync(join(outside, "f"), "utf8") === "OUTSIDE"
      const { outcome, pass } = allRefused([...outcomes, ...asked], ["outside", "link", "name", "kind"])
      return { outcome: `${outcome}; ${leaks} of ${reads} swapped reads leaked`, pass: pass && untouched && leaks === 0 }
    },
  },
  {
    id: 36,
    attack: "requests to private addresses: literal in every spelling, by name, by a name that changes its address, by redirect, other schemes and headers",
    run: async () => {
      const literal = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "10.0.0.1",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[fe80::1]",
        "[fc00::1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
        "localhost",
        "１２７.0.0.1",
        "100.64.0.1",
      ]
      const { request } = web()
      const outcomes = [
        ...await Promise.all(literal.map((host) => used(request, { url: `http://${host}/` }))),
        ...await Promise.all(["file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/", "data:,x"].map((url) => used(request, { url }))),
        await used(request, { url: "http://user:pass@example.com/" }),
        await used(request, { url: "http://example.com/", headers: { Host: "127.0.0.1" } }),
        await used(request, { url: "http://example.com:22/" }),
      ]
      const [redirected, reached] = await serving(
        (url, response) => (url === "/secret" ?
          response.end("SECRET") :
          response.writeHead(302, { location: url === "/loop" ? "/loop" : url === "/file" ? "file:///etc/passwd" : "http://127.0.0.2/secret" }).end()),
        async (port, asked) => {
          const tools = web({ addresses: ["127.0.0.1"], ports: [port, 80] })
          const got = await Promise.all(["/away", "/loop", "/file"].map((url) => used(tools.request, { url: `http://127.0.0.1:${port}${url}` })))
          return [got, asked()] as const
        },
      )
      // a name that is public when it is looked at, and private when it is asked for again
      const rebound = await serving((_, response) => response.end("SECRET"), async (port, asked) => {
        const lookup = dns.lookup
        let looks = 0
        try {
          const answers = [["198.41.0.4"], ["127.0.0.1"], ["198.41.0.4", "127.0.0.1"], ["::ffff:127.0.0.1"]]
          // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one form that is called
          dns.lookup = ((_: string) => Promise.resolve(answers[looks++ % 4]!.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })))) as never
          const tools = web({ ports: [port], timeout: 300 })
          const got = []
          for (let i = 0; i < 8; i++) got.push(await used(tools.request, { url: `http://rebind.example:${port}/` }))
          return { got, reached: asked(), looks }
        } finally {
          dns.lookup = lookup
        }
      })
      outcomes.push(...rebound.got.map((one) => (one === "network" || one === "timeout" ? "address" : one)))
      const held = rebound.reached === 0 && rebound.looks === 8
      const named = await used(request, { url: "http://localhost./" })
      const all = allRefused([...outcomes, ...redirected], ["address", "scheme", "url", "header", "port", "redirects"])
      return { outcome: `${all.outcome}; ${reached} requests, none further`, pass: all.pass && held && reached === 8 && ["address", "network"].includes(named) }
    },
  },
  {
    id: 37,
    attack: "arguments that a shell would read, options, NUL, other programs and folders",
    run: async () => {
      const at = folder()
      const dump = join(at, "dump")
      writeFileSync(dump, "#!/bin/sh\nfor one in \"$@\"; do printf '[%s]' \"$one\"; done\n", { mode: 0o755 })
      const tools = programs({ programs: [dump], root: at })
      const nasty = ["; touch PWNED", "$(touch PWNED)", "`touch PWNED`", "| touch PWNED", "-rf", "--version", "\n touch PWNED", "*", "~", "$HOME"]
      const got = await used(tools.run, { program: "dump", args: nasty })
      const refused = [
        await used(tools.run, { program: "sh", args: ["-c", "id"] }),
        await used(tools.run, { program: "../../bin/sh", args: [] }),
        await used(tools.run, { program: "dump", args: ["\0"] }),
        await used(tools.run, { program: "dump", args: [], folder: "/".repeat(2) + ".." }),
      ]
      const literal = JSON.parse(String(got).slice("done: ".length).replace(/…$/, "") || "{}") as { output?: string }
      return {
        outcome: `arguments arrive as they are; ${[...new Set(refused)].join(", ")}`,
        pass: literal.output === nasty.map((one) => `[${one}]`).join("") && !readdirSync(at).includes("PWNED") &&
          refused.slice(0, 3).every((one) => !one.startsWith("done")),
      }
    },
  },
  {
    id: 38,
    attack: "SQL in ids, names, filters, state keys and artifact queries",
    run: async () => {
      const db = join(folder(), "h.db")
      const heddle = (await openHeddle({ store: db }))._unsafeUnwrap()
      const nasty = "x' OR 1=1; DROP TABLE runs; --"
      await heddle.run(
        seq("f").step("s", async (_, { artifacts, state: own }) => {
          await artifacts.put("a.b_c", "x", { tags: [nasty] })
          await own.set(state<number, "k">("k", { scope: "custom", of: nasty }), 1)
        }),
        undefined,
        { session: "s" },
      )
      const outcomes = [
        (await heddle.run(seq("g").step("s", () => 1), undefined, { id: nasty })).isErr(),
        (await heddle.list({ flow: nasty }))._unsafeUnwrap().length === 0,
        (await heddle.artifacts.list({ name: "%", session: "s" }))._unsafeUnwrap().length === 0,
        (await heddle.artifacts.list({ name: "a_b", session: "s" }))._unsafeUnwrap().length === 0,
        (await heddle.artifacts.list({ tag: nasty }))._unsafeUnwrap().length === 1,
        (await heddle.list())._unsafeUnwrap().length === 1,
      ]
      await heddle.close()
      const intact = new DatabaseSync(db).prepare("PRAGMA integrity_check").get()?.["integrity_check"]
      return { outcome: `bound as values, ${String(intact)}`, pass: outcomes.every(Boolean) && intact === "ok" }
    },
  },
]
