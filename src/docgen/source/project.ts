/** Reading a project's source through ts-morph, which is loaded when a command needs it. */
import { existsSync, readFileSync } from "node:fs"
import { resolve } from "node:path"
import type { FlowIR } from "../../../dsl/ir/node.ts"
import { above } from "./above.ts"
import { factsOf, type FlowFacts, type Place, placeOf } from "./facts.ts"
import { SourceRefused } from "./refused.ts"
import { shapeOf } from "./shape.ts"

export interface Diagnostic extends Place {
  readonly code: number
  readonly message: string
}
export interface Sources {
  /** The compiler's errors in the files, or in some of them. */
  readonly diagnostics: (only?: ReadonlyArray<string>) => ReadonlyArray<Diagnostic>
  /** Where an export is declared. */
  readonly place: (file: string, name: string) => Place
  /** What is known of an exported flow and of each of its nodes. */
  readonly facts: (file: string, name: string, flow: FlowIR) => FlowFacts
  /** The names that an exported flow binds, with their types; `undefined` where they cannot be seen. */
  readonly shape: (file: string, name: string) => string | undefined
  /** Files have changed: they are read again. */
  readonly refresh: (files: ReadonlyArray<string>) => void
  /** Files, and those that import them, however far away. */
  readonly dependents: (files: ReadonlyArray<string>) => ReadonlyArray<string>
  /** The project's own files, also those that the given ones import. */
  readonly files: () => ReadonlyArray<string>
}

/** What Heddle's own types say in a compiler's message, however deep it stands: the sentence, and what it names. */
const sentenceIn = (text: string): string | undefined => {
  const found = /FlowTypeError<"((?:[^"\\]|\\.)*)"(?:, ((?:"[^"]*"|[^<>"])*))?>/.exec(text)
  if (found === null) return undefined
  const [, sentence, named = ""] = found
  return named === "" || named === "never" ? sentence : `${sentence} ${named.replaceAll("\"", "'")}`
}

export async function openSources(files: ReadonlyArray<string>, tsconfig: string | undefined): Promise<Sources> {
  const morph = await import("ts-morph")
  const { DiagnosticCategory, Node, Project, ts } = morph
  const paths = files.map((file) => resolve(file))
  for (const path of paths) if (!existsSync(path)) throw new SourceRefused(`there is no file ${path}`)
  const config = tsconfig === undefined ? above(paths[0]!, "tsconfig.json") : resolve(tsconfig)
  if (config !== undefined && !existsSync(config)) throw new SourceRefused(`there is no ${config}`)
  const defaults = { target: ts.ScriptTarget.ES2024, strict: true, skipLibCheck: true, types: ["*"] }
  const project = new Project({
    skipAddingFilesFromTsConfig: true,
    ...(config === undefined ? {} : { tsConfigFilePath: config }),
    compilerOptions: {
      ...(config === undefined ? defaults : {}),
      noEmit: true,
      allowImportingTsExtensions: true,
      // a sentence must not be cut
      noErrorTruncation: true,
      // ts-morph does not see package.json's "type": with node resolution it takes every file for CommonJS
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
    },
  })
  const sources = paths.map((path) => project.addSourceFileAtPath(path))
  project.resolveSourceFileDependencies()
  const declared = (file: string, name: string) => project.getSourceFileOrThrow(file).getExportedDeclarations().get(name)![0]!
  return {
    refresh: (changed) => {
      // also where the text is what it was: the compiler's second look is dear, whatever has changed, and may be had before anything has
      for (const file of changed) {
        const source = project.getSourceFileOrThrow(file)
        if (existsSync(file)) source.replaceWithText(readFileSync(file, "utf8"))
        else source.refreshFromFileSystemSync()
      }
      project.resolveSourceFileDependencies()
    },
    dependents: (changed) => {
      const found = new Set(changed)
      // a set grows while it is gone through
      for (const file of found) for (const source of project.getSourceFile(file)?.getReferencingSourceFiles() ?? []) found.add(source.getFilePath())
      return [...found]
    },
    files: () => project.getSourceFiles().filter((source) => !source.isInNodeModules()).map((source) => source.getFilePath()),
    diagnostics: (only) => {
      const read = sources.filter((source) => only === undefined || only.includes(source.getFilePath()))
      const found = read.flatMap((source) =>
        source.getPreEmitDiagnostics().filter((diagnostic) => diagnostic.getCategory() === DiagnosticCategory.Error).map((diagnostic): Diagnostic => {
          const start = diagnostic.getStart()
          const text = ts.flattenDiagnosticMessageText(diagnostic.compilerObject.messageText, "\n")
          const about = { code: diagnostic.getCode(), message: sentenceIn(text) ?? text.split("\n")[0]! }
          // what is wrong with the project itself is told of each of its files
          return { file: source.getFilePath(), ...(start === undefined ? { line: 1, column: 1 } : source.getLineAndColumnAtPos(start)), ...about }
        })
      )
      const seen = new Set<string>()
      return found.filter((one) => one.line !== 1 || one.column !== 1 || (!seen.has(one.message) && seen.add(one.message)))
    },
    place: (file, name) => placeOf(declared(file, name)),
    facts: (file, name, flow) => factsOf(morph, declared(file, name), flow),
    shape: (file, name) => {
      const declaration = declared(file, name)
      const written = Node.isVariableDeclaration(declaration) ? declaration.getInitializer() : undefined
      // `.returns` erases the scope: what stands before it still has it
      const called = Node.isCallExpression(written) ? written.getExpression() : undefined
      const open = Node.isPropertyAccessExpression(called) && called.getName() === "returns" ? called.getExpression() : declaration
      if (open.getType().getProperty("~scope") === undefined) return undefined
      const types = open.getType().getPropertyOrThrow("~types").getTypeAtLocation(open)
      return shapeOf(types.getPropertyOrThrow("output").getTypeAtLocation(open), open)
    },
  }
}
