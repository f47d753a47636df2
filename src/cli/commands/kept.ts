/** `heddle sessions`, `session`, `state`, `artifacts` and `artifact`: what is kept beside runs. */
import { closeSync, openSync, renameSync, rmSync, writeSync } from "node:fs"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import type { StateScope } from "../../../dsl/ir/state.ts"
import { messageOf } from "../../model/error.ts"
import { placeOfId } from "../../model/artifact.ts"
import type { SessionStatus } from "../../model/session.ts"
import { decodeValue } from "../../model/value.ts"
import type { ArtifactError } from "../../services/artifacts.ts"
import { namedScopes } from "../../services/state-scope.ts"
import { withExisting } from "../engine.ts"
import { CliError, type ExitCode, exitCode } from "../exit-codes.ts"
import { amounts, clean, print, printJson, short, type Shown, style } from "../output.ts"

interface Flags extends Shown {
  readonly store: string
}
const colours = { active: "cyan", suspended: "blue", completed: "green", failed: "red", archived: "dim" } as const satisfies Record<SessionStatus, string>
const dated = (at: number): string => new Date(at).toISOString().slice(0, 19)
const table = (rows: ReadonlyArray<ReadonlyArray<string>>, none: string): void => {
  if (rows.length === 0) print(none)
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  for (const row of rows) print(clean(row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join("  ")))
}

interface SessionFlags extends Flags {
  readonly status?: SessionStatus
  readonly user?: string
  readonly tag?: string
  readonly limit?: number
}
export async function sessionsCommand({ store, json, status, user, tag, limit }: SessionFlags): Promise<ExitCode> {
  const sessions = await withExisting(store, (heddle) => heddle.sessions.list({ status, user, tag, limit }))
  if (json) printJson(sessions.map(({ carried: _carried, ...session }) => session))
  else table(sessions.map(({ id, status: is, user: of, createdAt }) => [short(id, 60), is, short(of ?? "", 30), dated(createdAt)]), "no sessions")
  return exitCode.ok
}

export async function sessionCommand(id: string, { store, json }: Flags): Promise<ExitCode> {
  const { session, usage, runs, errors } = await withExisting(
    store,
    ({ sessions }) => Effect.all({ session: sessions.get(id), usage: sessions.usage(id), runs: sessions.runs(id), errors: sessions.errors(id) }),
  )
  if (json) {
    const { carried: _carried, ...known } = session
    printJson({ ...known, usage, runs: runs.map(({ id: run, flow, status }) => ({ id: run, flow, status })), errors })
    return exitCode.ok
  }
  const { status, user, context, policy, tags, createdAt, usedAt } = session
  print(`${style.out("bold", id)}  ${style.out(colours[status], status)}  ${dated(createdAt)} to ${dated(usedAt)}`)
  const about = { user, tags: tags.join(", "), context: short(JSON.stringify(context), 200), policy: JSON.stringify(policy), used: amounts(usage) }
  for (const [name, said] of Object.entries(about)) {
    if (said !== undefined && said !== "" && said !== "{}") print(style.out("dim", `${name.padEnd(8)}${short(said, 400)}`))
  }
  table(runs.map((run) => [run.id, run.status, run.flow]), "no runs")
  for (const { run, path, message } of errors) print(`${style.out("red", "✗")} ${run}  ${short(path, 80)}  ${short(message, 120)}`)
  return exitCode.ok
}

const scopes: ReadonlySet<string> = new Set(["global", "user", "session", "flow", "run", "agent", "tool", "custom"] satisfies ReadonlyArray<StateScope>)
/** `session:s1`, taken apart. */
const scopeIn = (given: string): { readonly scope: StateScope; readonly of: string | undefined } => {
  const [scope = "", ...of] = given.split(":")
  const fits = scopes.has(scope) && (scope === "global") === (of.join(":") === "")
  if (!fits) throw new CliError(exitCode.usage, `'${given}' is no scope`, "global, or one of user: session: flow: run: agent: tool: custom: and its name")
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is one of them
  return { scope: scope as StateScope, of: of.length === 0 ? undefined : of.join(":") }
}

export async function stateCommand(given: string, { store, json, prefix = "" }: Flags & { readonly prefix?: string }): Promise<ExitCode> {
  const { scope, of } = scopeIn(given)
  const { entries } = await withExisting(
    store,
    (heddle) => namedScopes.has(scope) ? heddle.state().snapshot(scope, of) : heddle.state({ [scope]: of }).snapshot(scope),
  )
  const found = entries.filter(({ name }) => name.startsWith(prefix))
  if (json) printJson(found.map(({ name, value, version, until }) => ({ name, value: decodeValue(value), version, until: until ?? null })))
  else {table(
      found.map(({ name, value, version, until }) => [name, `v${version}`, until === undefined ? "" : dated(until), short(value, 100)]),
      "nothing is kept there",
    )}
  return exitCode.ok
}

interface ArtifactFlags extends Flags {
  readonly session?: string
  readonly type?: string
  readonly tag?: string
  readonly versions?: boolean
  readonly limit?: number
}
export async function artifactsCommand({ store, json, session, type, tag, versions, limit }: ArtifactFlags): Promise<ExitCode> {
  const found = await withExisting(
    store,
    (heddle) => heddle.artifacts.list(defined({ newest: versions !== true, session, type, tag, limit })),
  )
  if (json) printJson(found)
  else table(found.map(({ id, mime, size, at }) => [short(id, 80), mime, `${size} bytes`, dated(at)]), "no artifacts")
  return exitCode.ok
}
interface ContentFlags extends Flags {
  readonly session?: string
  /** `version` is the program's own flag. */
  readonly nr?: number
  readonly output?: string
}
export async function artifactCommand(given: string, { store, json, session, nr, output }: ContentFlags): Promise<ExitCode> {
  const found = await withExisting(store, ({ artifacts }) =>
    Effect.gen(function*() {
      const { name, ...place } = (session === undefined && nr === undefined ? placeOfId(given) : undefined) ??
        { name: given, session: session ?? "", version: nr }
      const artifact = yield* artifacts.get(name, defined(place))
      const parts = artifacts.read(name, { session: artifact.session, version: artifact.version })
      if (output !== undefined) yield* into(output, parts)
      // a terminal would obey what is in it
      else if (!json) {
        yield* Stream.runForEach(parts, (part) => Effect.sync(() => process.stdout.write(process.stdout.isTTY ? clean(Buffer.from(part).toString()) : part)))
      }
      return artifact
    }))
  if (json) printJson(defined({ ...found, file: output }))
  else if (output !== undefined) print(`${found.id} is in ${output}`)
  return exitCode.ok
}

/** The file is there whole, or as it was before. */
const into = (file: string, parts: Stream.Stream<Uint8Array, ArtifactError>): Effect.Effect<void, ArtifactError> => {
  const fresh = `${file}.${process.pid}.part`
  const orFails = <A>(work: () => A) =>
    Effect.sync(() => {
      try {
        return work()
      } catch (cause) {
        throw new CliError(exitCode.usage, `cannot write ${file}: ${messageOf(cause)}`)
      }
    })
  return Effect.acquireUseRelease(
    orFails(() => openSync(fresh, "w")),
    (fd) => Stream.runForEach(parts, (part) => orFails(() => writeSync(fd, part))),
    (fd, exit) => {
      closeSync(fd)
      return orFails(() => (Exit.isSuccess(exit) ? renameSync(fresh, file) : rmSync(fresh)))
    },
  )
}
/** Without what is undefined. */
const defined = <T extends object>(all: T): { readonly [K in keyof T]: Exclude<T[K], undefined> } =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- those are left out
  Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as never
