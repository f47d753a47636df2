/** The command line. Commands are loaded when they are called, so that `--help` is quick. */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander"
import { type ExitCode, exitCode } from "./exit-codes.ts"

interface GlobalFlags {
  readonly store: string
  readonly json: boolean
  readonly debug: boolean
}

const wholeNumber = (text: string): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("use a whole number from 1")
  return value
}

const codes = `
Exit codes:
  0 ok · 1 the run failed or was cancelled · 2 wrong command, input or flow file
  3 check found errors · 4 the store cannot be used or has no such run · 130 interrupted, resume it`

const examples = `
Examples:
  heddle run flow.ts --input '{"name":"Ada"}'      run the only flow of a file
  heddle run flows.ts#greet --input @input.json    run one of several
  heddle resume greet-1a2b3c4d                     go on after a crash
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
    .addOption(new Option("--durability <when>", "when a step counts as done").choices(["sync", "async", "exit"]))
    .action(act(async (flags, file) => (await import("./commands/run.ts")).runCommand(file, flags)))
  program.command("resume <run>").description("go on with an interrupted or failed run where it stopped")
    .option("--flow <file>", "file#flow, if it has moved")
    .addOption(new Option("--durability <when>", "when a step counts as done").choices(["sync", "async", "exit"]))
    .action(act(async (flags, run) => (await import("./commands/run.ts")).resumeCommand(run, flags)))
  program.command("cancel <run>").description("end a run; a process that drives it stops")
    .option("--reason <text>", "why, for its journal")
    .action(act(async (flags, run) => (await import("./commands/run.ts")).cancelCommand(run, flags)))
  program.command("runs").description("list runs, newest first")
    .option("--flow <name>", "only of this flow")
    .addOption(new Option("--status <status>", "only with this status").choices(["running", "completed", "failed", "cancelled"]))
    .option("--limit <n>", "at most this many", wholeNumber, 50)
    .action(act(async (flags) => (await import("./commands/look.ts")).runsCommand(flags)))
  program.command("show <run>").description("a run as a tree: status, duration, attempts, outputs")
    .action(act(async (flags, run) => (await import("./commands/look.ts")).showCommand(run, flags)))
  program.command("graph <file>").description("draw the flows of a file, or file#flow")
    .option("--mermaid", "as a Mermaid flowchart")
    .action(act(async (flags, file) => (await import("./commands/look.ts")).graphCommand(file, flags)))
  program.command("check <files...>").description("type-check files and check their flows")
    .option("--tsconfig <file>", "default: the nearest tsconfig.json")
    .action(act(async (flags, files) => (await import("./commands/check.ts")).checkCommand(files, flags)))

  // the flags of the program may stand before or behind the command's name
  for (const command of program.commands) command.exitOverride().showSuggestionAfterError()
  try {
    await program.parseAsync(argv)
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    process.exitCode = error.exitCode === 0 ? exitCode.ok : exitCode.usage
  }
}
