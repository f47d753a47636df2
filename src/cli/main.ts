/** The command line. Commands are loaded when they are called, so that `--help` is quick. */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander"
import { runStatuses } from "../model/run.ts"
import { sessionStatuses } from "../model/session.ts"
import { type ExitCode, exitCode } from "./exit-codes.ts"

interface GlobalFlags {
  readonly store: string
  readonly json: boolean
  readonly debug: boolean
}

const wholeNumberFrom = (least: number) => (text: string): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < least) throw new InvalidArgumentError(`use a whole number from ${least}`)
  return value
}
const wholeNumber = wholeNumberFrom(1)

const durability = (): Option => new Option("--durability <when>", "when a step counts as done").choices(["sync", "async", "exit"])
const flowOption = (): Option => new Option("--flow <file>", "file#flow, if it has moved")

const codes = `
Exit codes:
  0 ok · 1 the run failed or was cancelled · 2 wrong command, input or flow file
  3 check or diff found problems · 4 the store cannot be used or has no such thing
  5 the run waits or is paused · 130 interrupted, resume it`

const examples = `
Examples:
  heddle run flow.ts --input '{"name":"Ada"}'      run the only flow of a file
  heddle run flows.ts#greet --input @input.json    run one of several
  heddle resume greet-1a2b3c4d                     go on after a crash
  heddle signal order-7 approval '{"by":"Ada"}'    answer a run that waits
  heddle worker flows.ts                           drive whatever is due
  heddle graph flow.ts                             draw it in the terminal`

/** Does what `argv` says and sets the exit code. */
export async function main(argv: ReadonlyArray<string>, version = "0.1.0"): Promise<void> {
  const program = new Command("heddle")
    .description("Run, resume, look at and check Heddle flows.")
    .version(version)
    .option("--json", "print data as JSON", false)
    .option("--debug", "show whole errors with their stacks", false)
    .addOption(new Option("--store <file>", "SQLite file that keeps the runs, or \"memory\"").env("HEDDLE_STORE").default("heddle.db"))
    .addHelpText("after", examples + "\n" + codes)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text) })
  const act =
    (command: (flags: GlobalFlags & Record<string, any>, ...args: ReadonlyArray<any>) => Promise<ExitCode>) => async (...given: ReadonlyArray<unknown>) => {
      const at = given.at(-1) as Command
      const flags = at.optsWithGlobals<GlobalFlags>()
      const { showError } = await import("./output.ts")
      try {
        process.exitCode = await command(flags, ...given.slice(0, -2))
      } catch (error) {
        process.exitCode = showError(error, flags)
      }
    }

  program.command("run <file>").description("start a run of a flow and wait for its output; <file> may be file#flow")
    .option("-i, --input <json>", "JSON, @file, or - for stdin")
    .option("--id <id>", "name the run: the same id and input give the same run")
    .option("--session <id>", "the session it belongs to")
    .addOption(durability())
    .option("--wait", "stay when the run waits for a signal or a time")
    .action(act(async (flags, file) => (await import("./commands/run.ts")).runCommand(file, flags)))
  program.command("resume <run>").description("go on with an interrupted or failed run where it stopped")
    .addOption(flowOption())
    .addOption(durability())
    .option("--wait", "stay when the run waits for a signal or a time")
    .action(act(async (flags, run) => (await import("./commands/run.ts")).resumeCommand(run, flags)))
  program.command("start <file>").description("leave a run for a worker, now or later")
    .option("-i, --input <json>", "JSON, @file, or - for stdin")
    .option("--id <id>", "name the run")
    .option("--session <id>", "the session it belongs to")
    .option("--at <date>", "when it shall begin")
    .action(act(async (flags, file) => (await import("./commands/control.ts")).startCommand(file, flags)))
  program.command("mcp <files...>").description("serve the files' flows, agents and tools to MCP clients, over stdin and stdout or over HTTP")
    .option("--name <name>", "what clients call it", "heddle")
    .option("--signals <names...>", "signals that clients may send to runs they have started")
    .option("--session <id>", "the session its runs belong to")
    .option("--port <n>", "over HTTP, at this port of this machine; 0 takes a free one", wholeNumberFrom(0))
    .option("--origins <urls...>", "web pages that may ask, as https://app.example")
    .option("--allow-privileged", "also what is privileged, or asks for an approval, which nobody is asked for then")
    .action(act(async (flags, files) => (await import("./commands/mcp.ts")).mcpCommand(files, flags)))
  program.command("worker <files...>").description("drive what is due of the files' flows; Ctrl-C lets it end, a second one forces")
    .option("--concurrency <n>", "runs at once", wholeNumber, 10)
    .option("--per-flow <n>", "at most so many of one flow at once, over all workers of the store", wholeNumber)
    .option("--per-session <n>", "at most so many of one session at once", wholeNumber)
    .option("--per-correlation <n>", "at most so many of one correlation at once", wholeNumber)
    .option("--grace <seconds>", "how long stopping waits for what goes on", wholeNumber, 10)
    .option("--until-idle", "stop when there is nothing to do")
    .action(act(async (flags, files) => (await import("./commands/work.ts")).workerCommand(files, flags)))
  program.command("signal <run> <name> [payload]").description("answer a run that waits; payload is JSON, @file or -")
    .option("--id <id>", "a second signal with this id is dropped")
    .addOption(flowOption())
    .action(act(async (flags, run, name, payload) => (await import("./commands/control.ts")).signalCommand(run, name, payload, flags)))
  const command = (spec: string, description: string): Command =>
    program.command(spec).description(description)
      .option("--reason <text>", "why, for its journal")
      .option("--expect <event>", "refuse if the run has newer events than this number, which `heddle show` gives", wholeNumber)
  command("pause <run>", "stop a run until it is resumed")
    .action(act(async (flags, run) => (await import("./commands/control.ts")).pauseCommand(run, flags)))
  program.command("drain <run>").description("let the streams of a run end with what they have read")
    .action(act(async (flags, run) => (await import("./commands/control.ts")).drainCommand(run, flags)))
  command("cancel <run>", "end a run and undo what can be undone").addOption(flowOption())
    .action(act(async (flags, run) => (await import("./commands/control.ts")).cancelCommand(run, flags)))
  command("retry <run>", "try the step again at which a run failed, or let a quarantined run go on").addOption(flowOption()).addOption(durability())
    .action(act(async (flags, run) => (await import("./commands/control.ts")).retryCommand(run, flags)))
  program.command("rerun <run>").description("a new run with the same input, or another")
    .option("-i, --input <json>", "another input")
    .option("--id <id>", "name the new run")
    .addOption(flowOption()).addOption(durability())
    .action(act(async (flags, run) => (await import("./commands/control.ts")).rerunCommand(run, flags)))
  command("fork <run>", "a new run that has done what this one did before a step; shows what runs again")
    .requiredOption("--from <path>", "the step, as `heddle show` prints it: refine[3]/draft")
    .option("--as <id>", "name the new run")
    .option("--dry-run", "only show what would run again")
    .addOption(flowOption()).addOption(durability())
    .action(act(async (flags, run) => (await import("./commands/control.ts")).forkCommand(run, flags)))
  command("rewind <run>", "take back what a run did from a step on, and go on from there; shows what runs again")
    .requiredOption("--to <path>", "the step, as `heddle show` prints it: refine[3]/draft")
    .option("--dry-run", "only show what would run again")
    .addOption(flowOption()).addOption(durability())
    .action(act(async (flags, run) => (await import("./commands/control.ts")).rewindCommand(run, flags)))
  program.command("runs").alias("list").description("list runs, newest first")
    .option("--flow <name>", "only of this flow")
    .addOption(new Option("--status <status>", "only with this status").choices([...runStatuses]))
    .option("--limit <n>", "at most this many", wholeNumber, 50)
    .action(act(async (flags) => (await import("./commands/look.ts")).runsCommand(flags)))
  program.command("show <run>").description("a run as a tree: status, duration, attempts, outputs, what it has used")
    .action(act(async (flags, run) => (await import("./commands/look.ts")).showCommand(run, flags)))
  program.command("events <run>").description("what has happened in a run, one line an event; with --json one JSON object a line")
    .option("--after <number>", "only events with higher numbers", wholeNumber)
    .option("--follow", "wait for more, until the run has stopped")
    .option("--children", "also of the runs it starts")
    .option("--kind <kinds...>", "only these: step.completed, step.*, *.failed")
    .action(act(async (flags, run) => (await import("./commands/events.ts")).eventsCommand(run, flags)))
  program.command("items <run>").description("what the streams of a run emit, one JSON object a line")
    .option("--path <path>", "only of the stream at this path")
    .option("--from <index>", "only items from this index on", wholeNumber)
    .option("--follow", "wait for more, until the run has stopped")
    .option("--rejected", "what they have left out, and why")
    .action(act(async (flags, run) => (await import("./commands/events.ts")).itemsCommand(run, flags)))
  program.command("graph <file>").description("draw the flows of a file, or file#flow")
    .option("--mermaid", "as a Mermaid flowchart, like --format mermaid")
    .addOption(new Option("--format <format>", "how").choices(["tree", "mermaid", "svg", "dot"]))
    .action(act(async (flags, file) => (await import("./commands/look.ts")).graphCommand(file, flags)))
  program.command("docs <files...>").description("write the pages of the flows that files export")
    .option("--out <folder>", "where the Markdown pages lie; default docs/flows")
    .option("--site <folder>", "also a site of HTML that needs no server")
    .option("--pages <files...>", "Markdown of your own, files and folders, for the site")
    .option("--title <text>", "what the docs are of; default Flows")
    .option("--check", "write nothing: name what differs from what is kept, for CI")
    .option("--source-url <template>", "links to the source: https://host/blob/main/{file}#L{line}")
    .option("--embed <files...>", "renew what stands between <!-- heddle graph flow --> and <!-- /heddle --> in these")
    .option("--runs <store>", "show the newest completed run of each flow in this store")
    .option("--tsconfig <file>", "default: the nearest tsconfig.json")
    .action(act(async (flags, files) => (await import("./commands/docs.ts")).docsCommand(files, flags)))
  program.command("check [files...]").description("type-check files and check their flows; without files, those that heddle.json names")
    .option("--tsconfig <file>", "default: the nearest tsconfig.json")
    .option("--config <file>", "files and how much each rule counts; default heddle.json")
    .option("--report", "also what each flow may do: writes, capabilities, effects, signals")
    .option("--sarif", "as SARIF 2.1.0, for code hosts")
    .option("--watch", "check again what changes, until Ctrl-C")
    .action(act(async (flags, files) => (await import("./commands/check.ts")).checkCommand(files, flags, version)))
  program.command("diff <before> [now]").description("what a change of a flow means for its runs: compatible, migrates, needs migration, breaking")
    .option("--from <revision>", "compare with the file as it was in a git revision")
    .option("--svg", "both in one picture: what is new, gone, changed, migrated")
    .option("--mermaid", "the same as a Mermaid flowchart")
    .action(act(async (flags, before, now) => (await import("./commands/compare.ts")).diffCommand(before, now, flags)))
  program.command("lock <files...>").description("keep the shapes of released flows, so that changing one without a migration does not compile")
    .option("--output <file>", "default: heddle.lock.d.ts")
    .option("--tsconfig <file>", "default: the nearest tsconfig.json")
    .option("--check", "fail if a flow is not in it, and write nothing")
    .action(act(async (flags, files) => (await import("./commands/compare.ts")).lockCommand(files, flags)))
  program.command("sessions").description("list sessions, newest first")
    .addOption(new Option("--status <status>", "only with this status").choices([...sessionStatuses]))
    .option("--user <user>", "only of this user")
    .option("--tag <tag>", "only with this tag")
    .option("--limit <n>", "at most this many", wholeNumber, 50)
    .action(act(async (flags) => (await import("./commands/kept.ts")).sessionsCommand(flags)))
  program.command("session <id>").description("a session: its context, policy, usage, runs and what went wrong in them")
    .action(act(async (flags, id) => (await import("./commands/kept.ts")).sessionCommand(id, flags)))
  program.command("state <scope>").description(
    "what is kept in a scope: global, user:ada, session:s1, flow:triage, run:r1, agent:clerk, tool:search, custom:name",
  )
    .option("--prefix <name>", "only names that begin so")
    .action(act(async (flags, scope) => (await import("./commands/kept.ts")).stateCommand(scope, flags)))
  program.command("artifacts").description("list artifacts, newest first")
    .option("--session <id>", "only of this session")
    .option("--type <type>", "only of this type")
    .option("--tag <tag>", "only with this tag")
    .option("--versions", "also older versions")
    .option("--limit <n>", "at most this many", wholeNumber, 50)
    .action(act(async (flags) => (await import("./commands/kept.ts")).artifactsCommand(flags)))
  program.command("artifact <name>").description("the content of an artifact, by its id or its name, to stdout or a file; with --json what is known of it")
    .option("--session <id>", "whose it is; default: of runs without a session")
    .option("--nr <version>", "an older version", wholeNumber)
    .option("--output <file>", "write it there")
    .action(act(async (flags, name) => (await import("./commands/kept.ts")).artifactCommand(name, flags)))
  program.command("retire").description("end sessions whose time is over, and put ended ones away")
    .option("--older-than <duration>", "only those that ended longer ago", "30 days")
    .option("--remove", "delete them instead")
    .action(act(async (flags) => (await import("./commands/keep.ts")).retireCommand(flags)))
  program.command("prune").description("delete ended runs")
    .option("--older-than <duration>", "only those that ended longer ago: '30 days'")
    .option("--keep <n>", "leave the newest", wholeNumber)
    .addOption(new Option("--status <status>", "only with this status").choices(["completed", "failed", "cancelled", "compensated"]))
    .option("--flow <name>", "only of this flow")
    .option("--dry-run", "only show what would be deleted")
    .action(act(async (flags) => (await import("./commands/keep.ts")).pruneCommand(flags)))
  program.command("compact <run>").description("delete the past of a run that nothing needs any more")
    .action(act(async (flags, run) => (await import("./commands/keep.ts")).compactCommand(run, flags)))
  program.command("export <run>").description("a run as one JSON document")
    .option("--output <file>", "write it there")
    .action(act(async (flags, run) => (await import("./commands/keep.ts")).exportCommand(run, flags)))
  program.command("import <file>").description("bring in what export gave; a run that had not ended is paused")
    .option("--as <id>", "under another id")
    .action(act(async (flags, file) => (await import("./commands/keep.ts")).importCommand(file, flags)))

  // the flags of the program may stand before or behind the command's name
  for (const command of program.commands) command.exitOverride().showSuggestionAfterError()
  try {
    await program.parseAsync(argv)
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    process.exitCode = error.exitCode === 0 ? exitCode.ok : exitCode.usage
  }
}
