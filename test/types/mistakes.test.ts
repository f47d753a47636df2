import { execFile } from "node:child_process"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { promisify } from "node:util"
import { expect, it } from "vitest"

const file = "test/types/mistakes.ts"
const bare = "test/types/mistakes.bare.ts"
const config = "test/types/tsconfig.bare.json"
const expectation = /^\s*\/\/ @ts-expect-error (.+)$/

const compilers = { "TypeScript 6": "node_modules/typescript/bin/tsc", "TypeScript 7": "node_modules/typescript7/bin/tsc" }

/** Line → everything the compiler prints for it, in one string. */
async function errorsOf(compiler: string): Promise<ReadonlyMap<number, string>> {
  const { stdout } = await promisify(execFile)(process.execPath, [compiler, "-p", config, "--pretty", "false"], { maxBuffer: 1e8 }).catch((
    error: { stdout: string },
  ) => error)
  const errors = new Map<number, string>()
  let line = 0
  for (const text of stdout.split("\n")) {
    const at = /^[^(]*\((\d+),\d+\): error (.*)$/.exec(text)
    if (at !== null) line = Number(at[1])
    if (text.trim() !== "") errors.set(line, `${errors.get(line) ?? ""}${text}\n`)
  }
  return errors
}

it.each(Object.entries(compilers))("each mistake prints its sentence: %s", async (_name, compiler) => {
  const lines = readFileSync(file, "utf8").split("\n")
  // the same file without its directives: every error is seen
  const stem = `${bare.replace(".ts", "")}.${compiler.includes("7") ? 7 : 6}`
  writeFileSync(`${stem}.ts`, lines.map((line) => line.replace("@ts-expect-error", "expect")).join("\n"))
  writeFileSync(config, JSON.stringify({ extends: "../../tsconfig.check.json", include: [], files: [`${stem.split("/").at(-1)}.ts`] }))
  try {
    const errors = await errorsOf(compiler)
    const expected = lines.flatMap((line, i) => {
      const message = expectation.exec(line)?.[1]
      return message === undefined ? [] : [{ line: i + 2, message }]
    })
    expect(expected.length).toBeGreaterThanOrEqual(37)
    const missing = expected.filter(({ line, message }) => !errors.get(line)?.includes(message)).map(({ line, message }) => ({
      line,
      message,
      printed: errors.get(line),
    }))
    expect(missing).toEqual([])
    expect([...errors.keys()].filter((line) => !expected.some((one) => one.line === line))).toEqual([])
  } finally {
    rmSync(`${stem}.ts`)
    rmSync(config)
  }
}, 60_000)
