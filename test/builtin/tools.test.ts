/** Ready-made tools: what they do, and what they refuse. Attacks on them are in test/security. */
import { execFileSync } from "node:child_process"
import { once } from "node:events"
import { chmodSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"
import { createServer as createSecureServer } from "node:https"
import { type AddressInfo, createServer as createNetServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import tls from "node:tls"
import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib"
import { Effect, Stream } from "effect"
import { Tar, Zip } from "effect/encoding"
import { nest, run, seq } from "heddle"
import { jsonSchemaOf } from "heddle/agents"
import { dateTime, diffText, files, fillTemplate, findText, formatData, hashText, newId, parseData, programs, replaceText, web } from "heddle/tools"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { isPublic } from "../../src/builtin/tools/address.ts"
import { Root } from "../../src/builtin/tools/root.ts"
import { plainText } from "../../src/builtin/tools/web.ts"
import { codeOf, useTool } from "../support.ts"

/** What a tool gives in a flow, or the code it refused with. */
const use = async (definition: any, input: unknown): Promise<any> => (await useTool(definition, input)).match((output) => output, codeOf)
const folder = () => mkdtempSync(join(tmpdir(), "heddle-tools-"))

it("files are appended to, moved and deleted, and nothing else is", async () => {
  const at = folder()
  const tools = files({ root: at, most: 10 })
  expect(await use(tools.append, { path: "logs/a.txt", content: "one" })).toEqual({ path: "logs/a.txt", bytes: 3 })
  expect(await use(tools.append, { path: "logs/a.txt", content: "two" })).toEqual({ path: "logs/a.txt", bytes: 6 })
  expect(await use(tools.append, { path: "logs/a.txt", content: "three" })).toBe("size")
  expect(await use(tools.move, { path: "logs/a.txt", to: "old/b.txt" })).toEqual({ path: "old/b.txt" })
  expect(readFileSync(join(at, "old/b.txt"), "utf8")).toBe("onetwo")
  expect(await use(tools.move, { path: "logs/a.txt", to: "c.txt" })).toBe("missing")
  await use(tools.write, { path: "c.txt", content: "c" })
  chmodSync(join(at, "c.txt"), 0o755)
  await use(tools.append, { path: "c.txt", content: "d" })
  expect(statSync(join(at, "c.txt")).mode & 0o777).toBe(0o755)
  expect(await use(tools.move, { path: "c.txt", to: "old/b.txt" })).toBe("exists")
  symlinkSync("/etc/hosts", join(at, "link"))
  linkSync(join(at, "c.txt"), join(at, "hard"))
  mkdirSync(join(at, "folder"))
  for (const [path, code] of [["link", "link"], ["hard", "link"], ["folder", "kind"], ["../x", "outside"], ["", "name"], ["old/none", "missing"]]) {
    expect([path, await use(tools.remove, { path })]).toEqual([path, code])
    expect([path, await use(tools.move, { path, to: "moved" })]).toEqual([path, code])
  }
  expect(await use(tools.move, { path: "old/b.txt", to: "../b.txt" })).toBe("outside")
  expect(await use(tools.remove, { path: "old/b.txt" })).toEqual({ path: "old/b.txt" })
  expect(await use(tools.read, { path: "old/b.txt" })).toBe("missing")
  tools.close()
})

it("data is written as text that is read as the same", async () => {
  const rows = [{ name: "Smith, \"Al\"", n: "1" }, { name: "two\nlines", more: "x" }]
  const csv = await use(formatData, { value: rows, format: "csv" })
  expect(csv).toBe("name,n,more\r\n\"Smith, \"\"Al\"\"\",1,\r\n\"two\nlines\",,x\r\n")
  expect(await use(parseData, { text: csv, format: "csv" })).toEqual([{ name: "Smith, \"Al\"", n: "1", more: "" }, { name: "two\nlines", n: "", more: "x" }])
  expect(await use(formatData, { value: [{ a: { b: [1] }, c: null, d: 2 }], format: "csv" })).toBe("a,c,d\r\n\"{\"\"b\"\":[1]}\",,2\r\n")
  for (const format of ["json", "ndjson"] as const) {
    const value = [{ a: 1 }, [null, "x"]]
    expect(await use(parseData, { text: await use(formatData, { value, format }), format })).toEqual(value)
  }
  const xml = "<list kind=\"a &amp; b\">one<item/>1 &lt; 2</list>"
  const [list] = await use(parseData, { text: xml, format: "xml" }) as ReadonlyArray<unknown>
  expect(await use(parseData, { text: await use(formatData, { value: list, format: "xml" }), format: "xml" })).toEqual([list])
  expect(await use(formatData, { value: [{ name: "a", children: ["<&>"] }], format: "xml" })).toBe("<a>&lt;&amp;&gt;</a>")
  const elements = [1, "text", { name: 1 }, { name: "a", children: 1 }, { name: "a", attributes: { b: 1 } }, { name: "a", attributes: [] }, { name: "a b" }, [
    { name: "a" },
    { name: "b" },
  ]]
  for (const value of elements) expect([value, await use(formatData, { value, format: "xml" })]).toEqual([value, "value"])
  const odd = [[{ a: 1 }, "csv", "value"], [[1], "csv", "value"], [[[1]], "csv", "value"], ["x", "ndjson", "value"], [undefined, "json", "InputInvalid"]]
  for (const [value, format, code] of odd) expect(await use(formatData, { value, format })).toBe(code)
  expect(await use(formatData, { value: JSON.parse("{\"__proto__\":1}"), format: "json" })).toBe("key")
  expect(await use(formatData, { value: "x".repeat(1_000_001), format: "json" })).toBe("too-much")
})

describe("archives", () => {
  it.each(["a.zip", "a.tar", "a.tar.gz", "a.TGZ"])("%s is packed and unpacked", async (name) => {
    const at = folder()
    const tools = files({ root: at })
    for (const [path, content] of [["in/one.txt", "one"], ["in/sub/two.txt", "two"], ["in/empty", ""]] as const) await use(tools.write, { path, content })
    expect(await use(tools.pack, { path: "in", archive: name })).toMatchObject({ path: name, files: 3 })
    const written = await use(tools.unpack, { archive: name, path: "out" })
    expect(written.map(({ path }: { path: string }) => path).sort()).toEqual(["out/empty", "out/one.txt", "out/sub/two.txt"])
    expect(execFileSync("diff", ["-r", join(at, "in"), join(at, "out")]).toString()).toBe("")
    await use(tools.pack, { path: "", archive: `again-${name}` })
    expect((await use(tools.unpack, { archive: `again-${name}`, path: "" })).map(({ path }: { path: string }) => path)).toContain("in/sub/two.txt")
    tools.close()
  })

  it("what others pack is unpacked, and what is packed here others unpack", async () => {
    const at = folder()
    const tools = files({ root: at })
    await use(tools.write, { path: "in/sub/one.txt", content: "one" })
    execFileSync("tar", ["czf", "theirs.tgz", "in"], { cwd: at })
    expect((await use(tools.unpack, { archive: "theirs.tgz", path: "out" })).map(({ path }: { path: string }) => path)).toEqual(["out/in/sub/one.txt"])
    await use(tools.pack, { path: "in", archive: "ours.tar.gz" })
    mkdirSync(join(at, "elsewhere"))
    execFileSync("tar", ["xzf", "../ours.tar.gz"], { cwd: join(at, "elsewhere") })
    expect(readFileSync(join(at, "elsewhere/sub/one.txt"), "utf8")).toBe("one")
    tools.close()
  })

  it("what leads out, links, comes twice or is too much is refused, and nothing of it is written", async () => {
    const at = folder()
    const tools = files({ root: at, most: 1000, entries: 5 })
    const unpack = async (archive: string, content: Uint8Array | string, path = "out") => {
      writeFileSync(join(at, archive), content)
      return use(tools.unpack, { archive, path })
    }
    const bytes = async (stream: Stream.Stream<Uint8Array, unknown>) => Buffer.concat(await Effect.runPromise(Stream.runCollect(stream)))
    const tar = async (...entries: ReadonlyArray<Tar.Entry>) =>
      unpack("a.tar", await bytes(Stream.pipeThroughChannel(Stream.fromIterable([Tar.file("ok", "x"), ...entries]), Tar.encode())))
    const zip = async (...entries: ReadonlyArray<Zip.ContentEntry>) =>
      unpack("a.zip", await bytes(Stream.pipeThroughChannel(Stream.fromIterable([Zip.file("ok", "x"), ...entries]), Zip.encode())))
    const many = Array.from({ length: 6 }, (_, i) => String(i))

    expect([await tar(Tar.file("../out", "x")), await zip(Zip.file("sub/../../x", "x"))]).toEqual(["outside", "outside"])
    // its own encoder writes no such name
    const forwards = await bytes(Stream.pipeThroughChannel(Stream.make(Zip.file("../x", "x")), Zip.encode()))
    const backwards = Buffer.from(forwards.toString("latin1").replaceAll("../x", "..\\x"), "latin1")
    expect([await tar(Tar.file("/etc/x", "x")), await unpack("a.zip", backwards)]).toEqual(["outside", "outside"])
    expect([await tar(Tar.symlink("l", "/etc")), await tar(Tar.hardlink("l", "ok"))]).toEqual(["link", "link"])
    expect([await tar(Tar.file("OK", "x")), await zip(Zip.file("./ok", "x"))]).toEqual(["name", "name"])
    expect([await tar(...many.map((one) => Tar.file(one, "x"))), await zip(...many.map((one) => Zip.file(one, "x")))]).toEqual(["too-much", "too-much"])
    expect([await tar(Tar.file("big", "x".repeat(2000))), await zip(Zip.file("big", "x".repeat(2000)))]).toEqual(["size", "size"])
    // a file that does not say how large it is
    const bomb = Stream.pipeThroughChannel(Stream.make(Zip.fileStream("big", Stream.make(new Uint8Array(2_000_000)))), Zip.encode())
    expect(await unpack("b.zip", await bytes(bomb))).toBe("size")
    expect(await unpack("b.tgz", gzipSync(Buffer.alloc(80_000_000)))).toBe("size")
    expect([await unpack("b.zip", "no zip"), await unpack("b.tar.gz", "no gzip"), await unpack("b.rar", "x")]).toEqual(["syntax", "syntax", "format"])
    expect(await use(tools.unpack, { archive: "none.zip", path: "out" })).toBe("missing")
    expect(await use(tools.pack, { path: "", archive: "b.rar" })).toBe("format")
    expect(await use(tools.list, { path: "out" })).toBe("missing")
    // a file cannot be a folder, and what is in the way is found before anything is written
    expect(await tar(Tar.file("a", "x"), Tar.file("a/b", "x"))).toBe("name")
    mkdirSync(join(at, "way/ok"), { recursive: true })
    expect(
      await unpack("w.zip", await bytes(Stream.pipeThroughChannel(Stream.fromIterable([Zip.file("first", "x"), Zip.file("ok", "x")]), Zip.encode())), "way"),
    ).toBe("kind")
    expect((await use(tools.list, { path: "way" })).length).toBe(1)
    // all of it is packed, or nothing; what was packed before is not
    expect(await use(tools.pack, { path: "", archive: "all.zip" })).toBe("too-much")
    await use(tools.write, { path: "few/a", content: "x" })
    for (let i = 0; i < 2; i++) expect(await use(tools.pack, { path: "few", archive: "few/all.zip" })).toMatchObject({ files: 1 })
    writeFileSync(join(at, "few/big"), "x".repeat(2000))
    expect(await use(tools.pack, { path: "few", archive: "all.zip" })).toBe("size")
    const deep = Array.from({ length: 18 }, () => "d").join("/")
    await use(tools.write, { path: `deep/${deep}/f`, content: "x" })
    expect(await use(tools.pack, { path: "deep", archive: "all.zip" })).toBe("too-much")
    // a link that is there already is not followed
    symlinkSync("/tmp", join(at, "link"))
    expect(await unpack("c.zip", await bytes(Stream.pipeThroughChannel(Stream.make(Zip.file("link/x", "x")), Zip.encode())), "")).toBe("link")
    tools.close()
  })
})

describe("files", () => {
  for (const portable of [false, true]) {
    it(`reads, writes, lists and looks below its root: ${portable ? "anywhere" : "on Linux"}`, () => {
      const at = folder()
      const root = new Root(at, portable)
      for (const name of ["m", "z", "b", "y"]) writeFileSync(join(at, name), "")
      expect(root.list("", 100).map(({ name }) => name)).toEqual(["b", "m", "y", "z"])
      for (const name of ["m", "z", "b", "y"]) rmSync(join(at, name))
      root.write("a/b/c.txt", "one")
      root.write("a/b/c.txt", new TextEncoder().encode("two"))
      symlinkSync("/etc", join(at, "link"))
      symlinkSync("/etc/passwd", join(at, "passwd"))
      execFileSync("mkfifo", [join(at, "pipe")])
      writeFileSync(join(at, "twin"), "x")
      linkSync(join(at, "twin"), join(at, "twin2"))
      expect(root.read("a/./b//c.txt", 10).toString()).toBe("two")
      expect(root.look("a/b/c.txt")).toMatchObject({ size: 3 })
      expect(root.look("a/none")).toBeUndefined()
      expect(root.list("", 100).map(({ name, kind }) => `${name} ${kind}`)).toEqual([
        "a folder",
        "link other",
        "passwd other",
        "pipe other",
        "twin file",
        "twin2 file",
      ])
      const code = (work: () => unknown) => {
        try {
          return work()
        } catch (error) {
          return (error as { code?: string }).code
        }
      }
      expect([
        code(() => root.read("link/passwd", 9)),
        code(() => root.read("passwd", 9)),
        code(() => root.read("pipe", 9)),
        code(() => root.read("twin", 9)),
        code(() => root.read("a", 9)),
        code(() => root.read("a/b/c.txt", 2)),
        code(() => root.read("", 9)),
        code(() => root.write("passwd", "x")),
        code(() => root.write("", "x")),
        code(() => root.look("")),
        code(() => root.write("twin/x", "x")),
        code(() => root.list("none", 9)),
        code(() => root.list("twin", 9)),
        code(() => root.look("passwd")),
        code(() => root.write("twin/x/y", "x")),
        code(() => root.write(`${"d/".repeat(3)}${"n".repeat(252)}/${"m".repeat(255)}`, "x")),
      ]).toEqual([
        "link",
        portable ? "link" : "link",
        "kind",
        "link",
        "kind",
        "size",
        "name",
        "link",
        "name",
        "name",
        "link",
        "missing",
        "link",
        "link",
        "link",
        undefined,
      ])
      expect(readFileSync("/etc/passwd", "utf8").length).toBeGreaterThan(10)
      rmSync(at, { recursive: true })
      expect([code(() => root.write("x/y", "x"))]).toEqual(["ENOENT"])
      root.close()
      expect(() => root.read("a/b/c.txt", 10)).toThrow()
    })
  }

  it("what is neither a file nor a link to one is told as the system tells it", async () => {
    const at = folder()
    const server = createNetServer().listen(join(at, "socket"))
    await once(server, "listening")
    const [root, portable] = [new Root(at, false), new Root(at, true)]
    expect(() => root.read("socket", 9)).toThrow("no regular file")
    expect(() => portable.read("socket", 9)).toThrow("ENXIO")
    server.close()
    root.close()
    portable.close()
  })

  it("are tools", async () => {
    const at = folder()
    const docs = files({ root: at, most: 100, entries: 50, hits: 2 })
    expect(await use(docs.write, { path: "a/x.txt", content: "hello\nworld\nhello again" })).toEqual({ path: "a/x.txt", bytes: 23 })
    expect(await use(docs.read, { path: "a/x.txt" })).toContain("world")
    expect(await use(docs.list, { path: "" })).toEqual([{ name: "a", kind: "folder" }])
    writeFileSync(join(at, "binary"), Buffer.from([0, 1, 2]))
    writeFileSync(join(at, "large"), "hello".repeat(100))
    writeFileSync(join(at, "latin"), Buffer.from([0xe9]))
    expect(await use(docs.search, { path: "", pattern: "^hello" })).toEqual([{ path: "a/x.txt", line: 1, text: "hello" }, {
      path: "a/x.txt",
      line: 3,
      text: "hello again",
    }])
    await use(docs.write, { path: "a/y.txt", content: "hello\nhello\nhello" })
    expect((await use(docs.search, { path: "a", pattern: "hello" })).length).toBe(2)
    expect([await use(docs.search, { path: "", pattern: "(" }), await use(docs.read, { path: "latin" }), await use(docs.read, { path: 5 })]).toEqual([
      "pattern",
      "encoding",
      "InputInvalid",
    ])
    const watching = (path: string) => use(docs.watch, { path, seconds: 1 })
    const [made, changed, gone, still] = [watching("new"), watching("a/x.txt"), watching("a/y.txt"), watching("binary")]
    await sleep(50)
    await use(docs.write, { path: "new", content: "1" })
    await use(docs.write, { path: "a/x.txt", content: "2" })
    rmSync(join(at, "a/y.txt"))
    expect(await Promise.all([made, changed, gone, still])).toEqual(["made", "changed", "deleted", "unchanged"])
    const deep = files({ root: at, hits: 10_000 })
    for (let i = 0; i < 18; i++) mkdirSync(join(at, "d/".repeat(i + 1)), { recursive: true })
    writeFileSync(join(at, "d/".repeat(18), "x"), "hello")
    expect((await use(deep.search, { path: "d", pattern: "hello" })).length).toBe(0)
    docs.close()
    deep.close()
  })

  it("a search that would look at too much says so", async () => {
    const at = folder()
    for (let i = 0; i < 5010; i++) writeFileSync(join(at, String(i)), "x")
    const many = files({ root: at, entries: 10_000 })
    expect(await use(many.search, { path: "", pattern: "y" })).toBe("too-much")
    many.close()
  })
})

describe("web", () => {
  let answer: (url: string, response: ServerResponse) => void = () => undefined
  const asked: Array<{ readonly method: string | undefined; readonly headers: Record<string, unknown>; readonly body: string }> = []
  const server = createServer((request, response) => {
    let body = ""
    request.on("data", (part) => (body += String(part))).on("end", () => {
      asked.push({ method: request.method, headers: request.headers, body })
      answer(request.url!, response)
    })
  })
  let port = 0
  beforeAll(async () => {
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
    port = (server.address() as AddressInfo).port
  })
  afterAll(() => void server.close())
  const local = (more: object = {}) => web({ addresses: ["127.0.0.1", "::1"], ports: [port], ...more })
  const get = (url: string, more: object = {}, given: object = {}) => use(local(more).request, { url: `http://127.0.0.1:${port}${url}`, ...given })

  it("makes requests, and unpacks what comes", async () => {
    const packed: Record<string, [string, Buffer]> = {
      gzip: ["gzip", gzipSync("packed")],
      br: ["br", brotliCompressSync("packed")],
      zstd: ["zstd", zstdCompressSync("packed")],
    }
    answer = (url, response) => {
      const [encoding, body] = packed[url.slice(1)] ?? [undefined, Buffer.from("plain")]
      response.writeHead(201, { "x-a": ["1", "2"], ...(encoding === undefined ? {} : { "content-encoding": encoding }) }).end(body)
    }
    for (const encoding of Object.keys(packed)) expect(await get(`/${encoding}`)).toMatchObject({ status: 201, body: "packed" })
    expect(await get("/", {}, { method: "POST", headers: { "x-b": "3" }, body: "sent" })).toMatchObject({ body: "plain", headers: { "x-a": "1, 2" } })
    expect(asked.at(-1)).toMatchObject({ method: "POST", body: "sent", headers: { "x-b": "3" } })
    answer = (_, response) => response.writeHead(200, { "content-encoding": "GZIP" }).end(gzipSync("packed"))
    expect([await get("/"), await get("/", {}, { method: "HEAD" })]).toMatchObject([{ body: "packed" }, { body: "" }])
    answer = (_, response) => response.writeHead(200, { "content-encoding": "constructor" }).end("x")
    expect(await get("/")).toBe("encoding")
    answer = (_, response) => {
      response.socket!.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
    }
    expect(await get("/")).toBe("network")
    answer = (_, response) => response.writeHead(201).end("plain")
    const named = await use(local({ hosts: ["LocalHost"] }).request, { url: `http://localhost:${port}/` })
    expect(named).toMatchObject({ status: 201 })
  })

  it("follows redirects as a browser does, and keeps secrets at home", async () => {
    answer = (url, response) =>
      url === "/end" ?
        response.end("end") :
        response.writeHead(Number(url.slice(1, 4)), { location: url.endsWith("x") ? `http://localhost:${port}/end` : "/end" }).end()
    const headers = { authorization: "Bearer x", "content-type": "text/plain" }
    await get("/302", {}, { method: "POST", headers, body: "b" })
    expect(asked.at(-1)).toMatchObject({ method: "GET", headers: { authorization: "Bearer x" }, body: "" })
    expect(asked.at(-1)!.headers).not.toHaveProperty("content-type")
    await get("/307", {}, { method: "POST", headers, body: "b" })
    expect(asked.at(-1)).toMatchObject({ method: "POST", body: "b" })
    const other = { "api-key": "k", "x-goog-api-key": "k", "user-agent": "me" }
    await get("/302x", {}, { headers: other })
    expect(asked.at(-1)!.headers).toMatchObject({ "user-agent": "me" })
    expect(Object.keys(asked.at(-1)!.headers).filter((key) => key.endsWith("key"))).toEqual([])
    expect(await get("/307x", {}, { method: "POST", headers, body: "b" })).toBe("redirects")
    await get("/303x", {}, { method: "PUT", headers, body: "b" })
    expect(asked.at(-1)!.headers).not.toHaveProperty("authorization")
    answer = (url, response) => response.writeHead(302).end(url)
    expect(await get("/none")).toMatchObject({ status: 302, body: "/none" })
  })

  it("speaks TLS, and does not lead from it to plain HTTP", async () => {
    const at = folder()
    const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    execFileSync("openssl", [...args, "-addext", "subjectAltName=DNS:localhost", "-keyout", join(at, "key"), "-out", join(at, "cert")], { stdio: "pipe" })
    const [key, cert] = [readFileSync(join(at, "key")), readFileSync(join(at, "cert"), "utf8")]
    tls.setDefaultCACertificates([...tls.getCACertificates(), cert])
    const secure = createSecureServer({ key, cert }, (request, response) => {
      if (request.url === "/down") response.writeHead(302, { location: `http://127.0.0.1:${port}/` })
      response.end("secure")
    }).listen(0)
    await once(secure, "listening")
    const ports = [(secure.address() as AddressInfo).port, port]
    const url = `https://localhost:${ports[0]}`
    answer = (_, response) => response.end("plain")
    expect([
      (await use(local({ ports }).request, { url })).body,
      await use(local({ ports }).request, { url: `${url}/down` }),
      (await use(local({ ports, downgrades: true }).request, { url: `${url}/down` })).body,
    ]).toEqual(["secure", "downgrade", "plain"])
    secure.close()
  })

  it("gives pages as text", async () => {
    answer = (_, response) => response.end("<title>A &amp; B</title><body><script>alert(1)</script><p>Hello&nbsp;<b>you</b></p>")
    expect(await use(local().page, { url: `http://127.0.0.1:${port}/` })).toEqual({
      url: `http://127.0.0.1:${port}/`,
      status: 200,
      title: "A & B",
      text: "Hello you",
    })
    expect([plainText("&toString;&amp;").text, plainText("\u0130<script>x</script>seen<TITLE class=a>T</TITLE><title>U</title>")]).toEqual(["&toString;&", {
      title: "T",
      text: "\u0130seen",
    }])
    const began = performance.now()
    plainText("<title".repeat(100_000))
    expect(performance.now() - began).toBeLessThan(2000)
    expect(plainText("a<!-- <p> -->b<style>x{}</style>c<li>d<li>e &lt;i&gt; &unknown; &#39;")).toEqual({ title: "", text: "abc\nd\ne <i> &unknown; '" })
    expect([plainText("a<script>b"), plainText("a<b"), plainText("x</script >y<script>z</script"), plainText("1 < 2")]).toEqual([
      { title: "", text: "a" },
      { title: "", text: "a" },
      { title: "", text: "xy" },
      { title: "", text: "1" },
    ])
  })

  it("refuses what it was not given", async () => {
    answer = (_, response) => response.end("x".repeat(2000))
    expect([
      await get("/", { hosts: ["example.com"] }),
      await use(local({ hosts: ["*.localhost"] }).request, { url: `http://localhost:${port}/` }),
      await get("/", { hosts: ["127.0.0.1"], bytes: 100 }),
      await use(local().request, { url: "nothing" }),
      await use(local().request, { url: `http://a:b@127.0.0.1:${port}/` }),
      await use(local().request, { url: "http://127.0.0.1:1/" }),
      await get("/", {}, { headers: { Host: "x" } }),
      await use(web().request, { url: "https://127.0.0.1/" }),
    ]).toEqual(["host", "host", "size", "url", "url", "port", "header", "address"])
    const closed = await use(web({ addresses: ["127.0.0.1"], ports: [9] }).request, { url: "http://127.0.0.1:9/" })
    expect(closed).toBe("network")
    answer = () => undefined
    expect(await get("/", { timeout: 50 })).toBe("timeout")
    const [request, aborted] = [local().request, new AbortController()]
    const going = Effect.runPromise(request({ url: `http://127.0.0.1:${port}/` }), { signal: aborted.signal })
    setTimeout(() => aborted.abort(new Error("enough")), 20)
    await expect(going).rejects.toThrow()
  })

  it("knows the public internet", () => {
    for (const address of ["8.8.8.8", "2606:4700:4700::1111"]) expect([address, isPublic(address)]).toEqual([address, true])
    for (
      const address of [
        "127.0.0.1",
        "10.1.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.168.1.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:7f00:1::",
        "ff02::1",
        "nothing",
      ]
    ) {
      expect([address, isPublic(address)]).toEqual([address, false])
    }
  })
})

describe("programs", () => {
  const at = folder()
  mkdirSync(join(at, "sub"))
  symlinkSync("/etc", join(at, "out"))
  const shell = programs({
    programs: ["sh", "cat", "/bin/echo", "node"].filter((name) => name !== "node"),
    root: at,
    environment: ["PATH", "NOT_SET"],
    timeout: 400,
    bytes: 1000,
  })
  const go = (program: string, args: ReadonlyArray<string>, more: object = {}) => use(shell.run, { program, args, ...more })

  it("run as they are told, in their folder, with what they are given", async () => {
    expect(await go("echo", ["$(id)", "; ls", "-n"])).toEqual({ exit: 0, output: "$(id) ; ls -n\n", errors: "", dropped: 0 })
    expect(await go("cat", [], { input: "given" })).toMatchObject({ output: "given" })
    expect(await go("sh", ["-c", "pwd; echo oops >&2; exit 3"], { folder: "sub" })).toMatchObject({ exit: 3, output: `${join(at, "sub")}\n`, errors: "oops\n" })
    expect(
      (await go("sh", ["-c", "env"])).output.split("\n").map((line: string) => line.split("=")[0]).filter((name: string) =>
        !["PWD", "PATH", "OLDPWD", "SHLVL", "_", ""].includes(name)
      ),
    ).toEqual([])
    expect(await go("sh", ["-c", "exec 0<&-; sleep 0.05; echo done"], { input: "x".repeat(1_000_000) })).toMatchObject({ output: "done\n" })
  })

  it("say no more than is kept, and end in time with all they started", async () => {
    const loud = await go("sh", ["-c", "i=0; while [ $i -lt 300 ]; do echo 0123456789; i=$((i+1)); done"])
    expect([loud.output.length, loud.dropped]).toEqual([1000, 2300])
    const one = await go("sh", ["-c", "head -c 5000 /dev/zero | tr '\\0' x"])
    expect([one.output.length, one.dropped]).toEqual([1000, 4000])
    const mark = `heddle-${process.pid}`
    expect(await go("sh", ["-c", `trap '' TERM; (exec -a ${mark} sleep 60) & sleep 60`])).toBe("timeout")
    expect(await go("sh", ["-c", "(sleep 30) & echo left"])).toMatchObject({ output: "left\n" })
    expect(await go("sh", ["-c", "setsid sleep 3 & sleep 0.1; echo away"])).toMatchObject({ output: "away\n" })
    await sleep(700)
    expect(execFileSync("sh", ["-c", "ps -eo args | grep -c '[s]leep 60' || true"]).toString().trim()).toBe("0")
    const stopping = new AbortController()
    const going = Effect.runPromise(shell.run({ program: "sh", args: ["-c", "sleep 21"] }), { signal: stopping.signal })
    setTimeout(() => stopping.abort(), 30)
    await expect(going).rejects.toThrow()
    await expect.poll(() => execFileSync("sh", ["-c", "ps -eo args | grep -c '[s]leep 21' || true"]).toString().trim(), { timeout: 3000 }).toBe("0")
  })

  it("are none that were not given, nor elsewhere", async () => {
    expect([
      await go("rm", []),
      await use(shell.run, { program: "sh", args: "x" }),
      await go("sh", ["\0"]),
      await go("sh", Array.from({ length: 5 }, () => "x".repeat(32_000))),
      await go("sh", [], { folder: ".." }),
      await go("sh", [], { folder: "out" }),
      await go("sh", [], { folder: "none" }),
    ])
      .toEqual(["InputInvalid", "InputInvalid", "arguments", "arguments", "outside", "outside", "missing"])
    expect(() => programs({ programs: ["no such program"], root: at })).toThrow("there is no program 'no such program'")
    expect(() => programs({ programs: ["/etc/passwd"], root: at })).toThrow("there is no program")
    const broken = join(at, "broken")
    writeFileSync(broken, "#!/no/such/interpreter\n", { mode: 0o755 })
    const odd = programs({ programs: [broken], root: at })
    expect(await use(odd.run, { program: "broken", args: [] })).toBe("ENOENT")
    expect(shell.run.tool).toMatchObject({ level: "privileged", approval: true, needs: ["process.run"] })
  })
})

describe("data and text", () => {
  const parse = (format: string, text: string, path?: string) => use(parseData, { format, text, ...(path === undefined ? {} : { path }) })

  it("reads what people write", async () => {
    expect(await parse("json", "{\"a\":{\"b\":[1,null,true,\"x\"]}}", "a.b")).toEqual([1, null, true, "x"])
    expect(await parse("ndjson", "{\"a\":1}\n\n{\"a\":2}\n", "a")).toEqual([1, 2])
    expect(await parse("csv", "a,b\n1,\"x, y\"\n")).toEqual([{ a: "1", b: "x, y" }])
    expect(await parse("yaml", "a:\n  - 1\n  - b: x\n", "a.1.b")).toBe("x")
    expect(await parse("toml", "a = 1\nd = 1979-05-27T07:32:00Z\n")).toEqual({ a: 1, d: "1979-05-27T07:32:00.000Z" })
    expect(JSON.stringify(await parse("xml", "<r><i n=\"1\">x</i><i>y</i></r>", "r.i"))).toContain("x")
  })

  it("says what is wrong, and where it is too much", async () => {
    expect([
      await parse("json", "{"),
      await parse("json", "{\"a\":1}", "b"),
      await parse("json", "1", "b"),
      await parse("yaml", "a: .inf"),
      await parse("toml", "a ="),
      await parse("xml", "<a>"),
      await parse("ndjson", "{"),
    ])
      .toEqual(["syntax", "missing", "missing", "value", "syntax", "syntax", "syntax"])
    expect(await parse("json", `[${"1,".repeat(100_001)}1]`)).toBe("too-much")
    expect(await parse("csv", `a\n${"x\n".repeat(100_002)}`)).toBe("too-much")
    const aliases = `a: &a ${"x".repeat(300_000)}\nb: [${"*a,".repeat(30)}]`
    expect(await parse("yaml", aliases)).toBe("too-much")
  })

  it("fills, finds, replaces, compares, hashes", async () => {
    expect(await use(fillTemplate, { template: "{{a}} and {{ b }}, {c}", values: { a: "1", b: "2" } })).toBe("1 and 2, {c}")
    expect([
      await use(fillTemplate, { template: "{{toString}}", values: {} }),
      await use(fillTemplate, { template: "", values: JSON.parse("{\"__proto__\":\"x\"}") }),
      await use(fillTemplate, { template: "", values: [] }),
    ]).toEqual(["missing", "InputInvalid", "InputInvalid"])
    expect(await use(findText, { text: "a1 B2", pattern: "([a-z])(\\d)|(z)", flags: "i" })).toEqual([{ at: 0, text: "a1", groups: ["a", "1", undefined] }, {
      at: 3,
      text: "B2",
      groups: ["B", "2", undefined],
    }])
    expect(await use(replaceText, { text: "a1 b2", pattern: "([a-z])(\\d)", by: "$2$1$$$&$9" })).toBe("1a$a1 2b$b2")
    expect([
      await use(findText, { text: "a", pattern: "(?=a)" }),
      await use(findText, { text: "a", pattern: "a", flags: "g" }),
      await use(findText, { text: "x".repeat(500_000), pattern: "(a+)+$" }),
      await use(findText, { text: "a", pattern: "(((a{10}){10}){10}){10}" }),
      await use(findText, { text: "a", pattern: "[a-z]{900}".repeat(6) }),
      await use(findText, { text: "a".repeat(20_000), pattern: "a" }),
      await use(replaceText, { text: "a".repeat(300), pattern: "a", by: "x".repeat(5000) }),
    ])
      .toEqual(["pattern", "pattern", "too-much", "pattern", "pattern", "too-much", "too-much"])
    expect(await use(diffText, { before: "a\nb\nc", after: "a\nx\nc\nd" })).toBe(" a\n-b\n+x\n c\n+d")
    expect([await use(diffText, { before: "a\nb", after: "" }), await use(diffText, { before: "\n".repeat(6000), after: "\n".repeat(6000) })]).toEqual([
      "-a\n-b\n+",
      "too-much",
    ])
    expect([await use(hashText, { text: "x", algorithm: "md5" }), (await use(hashText, { text: "x" })).length, (await use(newId, {})).length]).toEqual([
      "9dd4e461268c8034f5c8564e155c67a6",
      64,
      36,
    ])
    expect(await use(dateTime, { date: "2026-01-31T12:00:00Z", seconds: 86_400, zone: "Europe/Berlin" })).toMatchObject({
      iso: "2026-02-01T12:00:00.000Z",
      words: expect.stringContaining("Sunday"),
    })
    expect((await use(dateTime, {})).milliseconds).toBeGreaterThan(1e12)
    expect([await use(dateTime, { date: "never" }), await use(dateTime, { zone: "Moon/Sea" })]).toEqual(["date", "zone"])
  })

  it("say what they take, as JSON Schema and in words", async () => {
    expect(jsonSchemaOf(parseData.tool.input)).toMatchObject({
      type: "object",
      required: ["text", "format"],
      properties: { format: { enum: ["json", "ndjson", "csv", "yaml", "toml", "xml"] } },
    })
    const wrong = await (run as any)(seq("f").step("x", nest(parseData, () => ({ text: 5, format: "pdf" } as never))), undefined as never)
    expect(wrong._unsafeUnwrapErr().message).toContain("text: it is to be text\n  format: it is to be one of json")
    expect([await use(dateTime, 5), await use(dateTime, { seconds: 0.5 })]).toEqual(["InputInvalid", "InputInvalid"])
    const output = (hashText.tool.input["~standard"] as any).jsonSchema.output()
    expect(output).toMatchObject({ additionalProperties: false })
    expect(await Effect.runPromise(Effect.succeed(1))).toBe(1)
  })
})
