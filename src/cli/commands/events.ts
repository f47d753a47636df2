/** `heddle events` and `heddle items`: what has happened in a run and what its streams have emitted, and what comes. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { messageOf } from "../../model/error.ts"
import { type EventKind, eventKinds, type EventPattern, isOneOf } from "../../model/event.ts"
import { encodeValue } from "../../model/value.ts"
import type { Notice } from "../../services/notice.ts"
import { mustExist, withStopping } from "../engine.ts"
import { CliError, type ExitCode, exitCode } from "../exit-codes.ts"
import { clean, print, printJson, short, type Shown, style } from "../output.ts"

interface EventFlags extends Shown {
  readonly store: string
  readonly after?: number
  readonly follow?: boolean
  readonly children?: boolean
  readonly kind?: ReadonlyArray<string>
}

export async function eventsCommand(id: string, { store, after, follow = false, children, kind, json }: EventFlags): Promise<ExitCode> {
  mustExist(store)
  const kinds = kind?.map(patternOf)
  await withStopping(store, (heddle, stopped) => {
    const told = Stream.runForEach(
      heddle.follow(id, { after, children, kinds, live: follow }),
      (notice) => Effect.sync(() => json ? printJson(lineOf(notice)) : print(text(notice, id))),
    )
    return Effect.raceFirst(told, Deferred.await(stopped))
  })
  return exitCode.ok
}

interface ItemFlags {
  readonly store: string
  readonly path?: string
  readonly from?: number
  readonly follow?: boolean
  readonly rejected?: boolean
}

export async function itemsCommand(id: string, { store, path, from, follow = false, rejected = false }: ItemFlags): Promise<ExitCode> {
  mustExist(store)
  await withStopping(store, (heddle, stopped) => {
    const shown = (value: unknown): unknown => JSON.parse(encodeValue(value))
    const which = { path, live: follow }
    const told = rejected ?
      Stream.runForEach(
        heddle.rejected(id, which),
        ({ item, error, ...where }) => Effect.sync(() => printJson({ ...where, item: shown(item), error: messageOf(error) })),
      ) :
      Stream.runForEach(heddle.items(id, { ...which, from }), ({ item, ...where }) => Effect.sync(() => printJson({ ...where, item: shown(item) })))
    return Effect.raceFirst(told, Deferred.await(stopped))
  })
  return exitCode.ok
}

const patternOf = (pattern: string): EventPattern => {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what fits no kind is refused
  const given = pattern as EventPattern
  if (eventKinds.some((kind) => isOneOf(kind, [given]))) return given
  throw new CliError(exitCode.usage, `no event is called '${clean(pattern)}'`, `one of ${eventKinds.join(", ")}; or step.*, *.failed`)
}

/** A log line: one JSON object, with the data as it is kept. */
const lineOf = ({ data, at, ...notice }: Notice) => ({ ...notice, at: new Date(at).toISOString(), data: JSON.parse(data!) as unknown })

const colours: Readonly<Partial<Record<string, Parameters<typeof style.out>[0]>>> = { completed: "green", failed: "red", refused: "yellow", caught: "yellow" }
const text = ({ run, seq, at, kind, path, data }: Notice, id: string): string => {
  const [, verb] = kind.split(".") as [string, string]
  const where = run === id ? path : `${run} ${path}`
  const time = style.out("dim", new Date(at).toISOString().slice(11, 23))
  return `${String(seq).padStart(5)}  ${time}  ${style.out(colours[verb] ?? "cyan", kind.padEnd(widest))}  ${clean(where)}  ${
    style.out("dim", short(data!, 60))
  }`.trimEnd()
}
const widest = Math.max(...eventKinds.map((kind: EventKind) => kind.length))
