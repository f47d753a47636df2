/** A web handler behind a port of this machine, which no other machine reaches. */
import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Readable } from "node:stream"
import { CliError, exitCode } from "../exit-codes.ts"

const host = "127.0.0.1"
type Handler = (request: Request) => Promise<Response>

/** @throws CliError where the port cannot be had */
export async function listen(handler: Handler, port: number): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const server = createServer((incoming, outgoing) => void answer(handler, incoming, outgoing))
  await once(server.listen(port, host), "listening").catch((cause: Error) => {
    throw new CliError(exitCode.usage, `cannot listen at port ${port}: ${cause.message}`)
  })
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens at a port
  const url = `http://${host}:${(server.address() as AddressInfo).port}/mcp`
  const close = async () => {
    const closed = once(server.close(), "close")
    server.closeIdleConnections()
    await closed
  }
  return { url, close }
}

/** Serves until this process is asked to end; what has been asked is answered before. */
export async function serveAtPort(handler: Handler, port: number, said: (url: string) => void): Promise<void> {
  const { url, close } = await listen(handler, port)
  const stopped = Promise.withResolvers<void>()
  const stop = () => stopped.resolve()
  process.once("SIGINT", stop).once("SIGTERM", stop)
  said(url)
  await stopped.promise
  process.off("SIGINT", stop).off("SIGTERM", stop)
  await close()
}

async function answer(handler: Handler, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  // what is no request, or ends in its middle, is refused
  const response = await respond(handler, incoming).catch(() => new Response(undefined, { status: 400 }))
  outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(await response.text())
}

async function respond(handler: Handler, incoming: IncomingMessage): Promise<Response> {
  const { method, url = "/", headers } = incoming
  const at = new URL(url, `http://${host}`)
  // a name that somebody has made lead here is not ours
  const { localPort } = incoming.socket
  if (headers.host !== `${host}:${localPort}` && headers.host !== `localhost:${localPort}`) return new Response(undefined, { status: 403 })
  if (at.pathname !== "/mcp") return new Response(undefined, { status: 404 })
  const given = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)])
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Node's own type of the one stream differs from the web's
  const body = method === "POST" ? { body: Readable.toWeb(incoming) as ReadableStream, duplex: "half" as const } : {}
  return handler(new Request(at, { method: method!, headers: given, ...body }))
}
