/** HTTP requests that go where they may and nowhere else: the address that is checked is the one that is connected to. */
import dns from "node:dns/promises"
import http from "node:http"
import https from "node:https"
import { isIP, type LookupFunction } from "node:net"
import { addAbortSignal, pipeline, type Readable } from "node:stream"
import zlib from "node:zlib"
import { messageOf } from "../../model/error.ts"
import { isPublic } from "./address.ts"
import { refuse, ToolRefused } from "./error.ts"

export interface FetchLimits {
  /** Hosts that may be asked: `example.com`, `*.example.com`; default: every public one. */
  readonly hosts?: ReadonlyArray<string>
  /** Default 80 and 443. */
  readonly ports?: ReadonlyArray<number>
  /** Addresses that may be asked although they are not public, `127.0.0.1`. */
  readonly addresses?: ReadonlyArray<string>
  /** From https to http; default false. */
  readonly downgrades?: boolean
  /** Default 5. */
  readonly redirects?: number
  /** For all of it, in milliseconds, default 30,000. */
  readonly timeout?: number
  /** Most bytes of a body, as it comes and unpacked, default 10 MiB each. */
  readonly bytes?: number
}
export interface FetchRequest {
  readonly url: string
  readonly method?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: string | undefined
}
export interface Fetched {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** Where it ended. */
  readonly url: string
}
const name = "http_request"
const denied = (code: string, reason: string) => refuse(name, code, reason)

/** Headers that are the connection's own. */
const owned = /^(host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|content-length|expect|accept-encoding)$/i
/** Headers that another host may see: any other may say who asks. */
const harmless = /^(accept|accept-language|cache-control|user-agent|content-type|content-language|range|if-.*)$/i
const redirecting: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** Makes the request and follows where it leads; every hop is checked as the first one was. */
export async function fetchChecked(given: FetchRequest, limits: FetchLimits, signal: AbortSignal): Promise<Fetched> {
  const { timeout = 30_000, redirects = 5, downgrades = false } = limits
  const ending = AbortSignal.any([AbortSignal.timeout(timeout), signal])
  let { body, method = "GET" } = given
  let headers = { ...given.headers }
  let url = parsed(given.url)
  for (const key of Object.keys(headers)) if (owned.test(key)) denied("header", `the header '${key}' cannot be given`)
  try {
    for (let hop = 0;; hop++) {
      vet(url, limits)
      const response = await request(url, { method, headers, body }, limits, ending)
      const { statusCode: status = 0, headers: { location } } = response
      if (!redirecting.has(status) || location === undefined) {
        const flat = Object.entries(response.headers).map(([key, value]) => [key, String(value)] as const)
        return { status, headers: Object.fromEntries(flat), body: await drain(response, limits, ending, method !== "HEAD"), url: url.href }
      }
      response.destroy()
      if (hop >= redirects) denied("redirects", `it leads on more than ${redirects} times`)
      const next = parsed(new URL(location, url).href)
      if (url.protocol === "https:" && next.protocol === "http:" && !downgrades) denied("downgrade", "it leads from https to http")
      if ((status === 303 && method !== "HEAD") || (status < 303 && method === "POST")) {
        ;[method, body, headers] = ["GET", undefined, without(headers, /^content-/i)]
      }
      if (next.origin !== url.origin) {
        if (body !== undefined) denied("redirects", "it leads to another host, which would be sent the body")
        headers = Object.fromEntries(Object.entries(headers).filter(([key]) => harmless.test(key)))
      }
      url = next
    }
  } catch (cause) {
    if (cause instanceof ToolRefused || signal.aborted) throw cause
    return ending.aborted ? denied("timeout", `no whole answer within ${timeout} ms`) : denied("network", messageOf(cause).slice(0, 200))
  }
}

const without = (headers: Readonly<Record<string, string>>, which: RegExp) => Object.fromEntries(Object.entries(headers).filter(([key]) => !which.test(key)))
const parsed = (url: string): URL => URL.parse(url) ?? denied("url", "it is no URL")

/** Everything that can be seen before anybody is asked. */
const vet = (url: URL, { hosts, ports = [80, 443], addresses }: FetchLimits): void => {
  if (url.protocol !== "http:" && url.protocol !== "https:") denied("scheme", `the scheme ${url.protocol} is not http or https`)
  if (url.username !== "" || url.password !== "") denied("url", "credentials do not belong into a URL")
  const port = Number(url.port || (url.protocol === "https:" ? 443 : 80))
  if (!ports.includes(port)) denied("port", `port ${port} may not be asked`)
  const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "").toLowerCase()
  const isNamed = isIP(host) === 0
  if (hosts !== undefined && !hosts.some((one) => (one.startsWith("*.") ? isNamed && host.endsWith(one.slice(1).toLowerCase()) : host === one.toLowerCase()))) {
    denied("host", "this host may not be asked")
  }
  // nobody looks a literal address up
  if (!isNamed) admit(host, addresses)
}
const admit = (address: string, addresses: ReadonlyArray<string> = []): void => {
  if (!isPublic(address) && !addresses.includes(address)) denied("address", "this address is not public")
}

/** Looks a name up once, refuses it if any of its addresses is not public, and gives exactly those that were checked. */
const guarded = ({ addresses }: FetchLimits): LookupFunction => (host, _, done) => {
  dns.lookup(host, { all: true, verbatim: true }).then(
    (all) => {
      all.forEach(({ address }) => admit(address, addresses))
      done(null, all)
    },
  ).catch((cause: Error) => done(cause, ""))
}

const request = (url: URL, { method, headers, body }: Omit<FetchRequest, "url">, limits: FetchLimits, signal: AbortSignal): Promise<http.IncomingMessage> =>
  new Promise((resolve, reject) => {
    const { request: send, Agent } = url.protocol === "https:" ? https : http
    // an agent of its own: a shared one may give a connection that was made before, without a look
    const asked = send(url, {
      method,
      headers: { ...headers, "accept-encoding": "gzip, br, zstd" },
      signal,
      lookup: guarded(limits),
      // and it asks for every address of a name
      agent: new Agent({ keepAlive: false, autoSelectFamily: true }),
      maxHeaderSize: 32_768,
    })
    asked.on("response", resolve).on("error", reject)
    asked.on("upgrade", (_, socket) => {
      socket.destroy()
      reject(new ToolRefused({ tool: name, code: "network", reason: "it answers in another protocol" }))
    })
    asked.end(body)
  })

const unpackers = new Map<string, () => zlib.Gunzip | zlib.BrotliDecompress | zlib.ZstdDecompress>([
  ["gzip", () => zlib.createGunzip()],
  ["br", () => zlib.createBrotliDecompress()],
  ["zstd", () => zlib.createZstdDecompress({ params: { [zlib.constants.ZSTD_d_windowLogMax]: 23 } })],
])

/** The body, unpacked once, up to what may come. */
const drain = async (message: http.IncomingMessage, { bytes = 10 * 1024 * 1024 }: FetchLimits, signal: AbortSignal, isPacked: boolean): Promise<Buffer> => {
  const tooLarge = () => new ToolRefused({ tool: name, code: "size", reason: `the answer has more than ${bytes} bytes` })
  const encoding = (message.headers["content-encoding"] ?? "identity").toLowerCase()
  // the answer to HEAD says how its body would be packed, and has none
  const unpack = isPacked ? unpackers.get(encoding) : undefined
  const parts: Array<Buffer> = []
  let [came, length] = [0, 0]
  try {
    if (isPacked && encoding !== "identity" && unpack === undefined) denied("encoding", "it is packed in a way that was not asked for")
    message.on("data", (part: Buffer) => {
      came += part.length
      if (came > bytes) message.destroy(tooLarge())
    }).pause()
    const source: Readable = unpack === undefined ? message : pipeline(message, unpack(), () => undefined)
    for await (const part of addAbortSignal(signal, source) as AsyncIterable<Buffer>) {
      length += part.length
      if (length > bytes) throw tooLarge()
      parts.push(part)
    }
  } catch (cause) {
    // nothing at all is no broken packing
    if (came > 0 || (cause as NodeJS.ErrnoException).code !== "Z_BUF_ERROR") throw cause
  } finally {
    message.destroy()
  }
  return Buffer.concat(parts)
}
