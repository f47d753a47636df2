/** How long an editor waits for the names inside a callback at the end of a flow of 100 steps: TypeScript 6's language service, after an edit. */
import { readFileSync } from "node:fs"
import ts from "typescript"

const steps = 100
const root = new URL("../../../", import.meta.url).pathname
const name = `${root}test/types/cost/completion.generated.ts`
const chain = Array.from({ length: steps }, (_, i) => `  .step("s${i}", ({ ${i === 0 ? "input" : `s${i - 1}`} }) => ({ v${i}: 1, id: "x", flag: true }))`).join(
  "\n",
)
const source = (edit: number): string => `import { seq } from "heddle"\nexport const f = seq("f")\n${chain}\n  .step("last${edit}", (scope) => scope.)\n`

let [text, version] = [source(0), 0]
const options: ts.CompilerOptions = {
  ...ts.parseJsonConfigFileContent(JSON.parse(readFileSync(`${root}tsconfig.json`, "utf8")), ts.sys, root).options,
  customConditions: ["source"],
  noEmit: true,
}
const service = ts.createLanguageService({
  getCompilationSettings: () => options,
  getScriptFileNames: () => [name],
  getScriptVersion: (file) => (file === name ? String(version) : "0"),
  getScriptSnapshot: (
    file,
  ) => (file === name ? ts.ScriptSnapshot.fromString(text) : ts.sys.fileExists(file) ? ts.ScriptSnapshot.fromString(ts.sys.readFile(file) ?? "") : undefined),
  getCurrentDirectory: () => root,
  getDefaultLibFileName: ts.getDefaultLibFilePath,
  fileExists: (file) => file === name || ts.sys.fileExists(file),
  readFile: ts.sys.readFile,
  readDirectory: ts.sys.readDirectory,
  directoryExists: ts.sys.directoryExists,
  getDirectories: ts.sys.getDirectories,
})
const times: Array<number> = []
let found = 0
for (let edit = 0; edit < 8; edit++) {
  text = source(edit)
  version++
  const began = performance.now()
  const completions = service.getCompletionsAtPosition(name, text.lastIndexOf("scope.") + 6, {})
  if (edit > 0) times.push(performance.now() - began)
  found = completions?.entries.filter((entry) => /^s\d+$/.test(entry.name)).length ?? 0
}
console.log(JSON.stringify({ typescript: ts.version, steps, names: found, milliseconds: Math.round(times.sort((a, b) => a - b)[times.length >> 1] ?? 0) }))
process.exitCode = found === steps ? 0 : 1
