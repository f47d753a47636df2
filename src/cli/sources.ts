/** Reading a project's source through ts-morph; the only file that knows it. Loaded when a command needs it. */
import { dirname, join, resolve } from "node:path"
import { existsSync } from "node:fs"
import { CliError, exitCode } from "./exit-codes.ts"
import { shapeOf } from "./shape.ts"

export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}
export interface Diagnostic extends Place {
  readonly code: number
  readonly message: string
}
export interface Sources {
  /** The compiler's errors in the files. */
  readonly diagnostics: () => ReadonlyArray<Diagnostic>
  /** Where the node at `path` of an exported flow is written. */
  readonly locate: (file: string, name: string, path: string) => Place
  /** The names that an exported flow binds, with their types; `undefined` where they cannot be seen. */
  readonly shape: (file: string, name: string) => string | undefined
}

/** The nearest tsconfig.json above a file. */
const configAbove = (file: string): string | undefined => {
  for (let folder = dirname(file);; folder = dirname(folder)) {
    if (existsSync(join(folder, "tsconfig.json"))) return join(folder, "tsconfig.json")
    if (folder === dirname(folder)) return undefined
  }
}

/** What Heddle's own types say in a compiler's message, however deep it stands: the sentence, and what it names. */
const sentenceIn = (text: string): string | undefined => {
  const found = /FlowTypeError<"((?:[^"\\]|\\.)*)"(?:, ((?:"[^"]*"|[^<>"])*))?>/.exec(text)
  if (found === null) return undefined
  const [, sentence, named = ""] = found
  return named === "" || named === "never" ? sentence : `${sentence} ${named.replaceAll("\"", "'")}`
}

export async function openSources(files: ReadonlyArray<string>, tsconfig: string | undefined): Promise<Sources> {
  const { DiagnosticCategory, Node, Project, ts } = await import("ts-morph")
  const paths = files.map((file) => resolve(file))
  for (const path of paths) if (!existsSync(path)) throw new CliError(exitCode.usage, `there is no file ${path}`)
  const config = tsconfig === undefined ? configAbove(paths[0]!) : resolve(tsconfig)
  if (config !== undefined && !existsSync(config)) throw new CliError(exitCode.usage, `there is no ${config}`)
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
  return {
    diagnostics: () =>
      sources.flatMap((source) =>
        source.getPreEmitDiagnostics()
          .filter((diagnostic) => diagnostic.getCategory() === DiagnosticCategory.Error)
          .map((diagnostic) => {
            const { line, column } = source.getLineAndColumnAtPos(diagnostic.getStart()!)
            const text = ts.flattenDiagnosticMessageText(diagnostic.compilerObject.messageText, "\n")
            return { file: source.getFilePath(), line, column, code: diagnostic.getCode(), message: sentenceIn(text) ?? text.split("\n")[0]! }
          })
      ),
    locate: (file, name, path) => {
      const declaration = project.getSourceFileOrThrow(file).getExportedDeclarations().get(name)![0]!
      const source = declaration.getSourceFile()
      // the node's own name as the first argument of a verb, else the flow's declaration
      const wanted = path.split("/").at(-1)
      const literal = declaration.getDescendants().find((node) => Node.isStringLiteral(node) && node.getLiteralText() === wanted)
      const { line, column } = source.getLineAndColumnAtPos((literal ?? declaration).getStart())
      return { file: source.getFilePath(), line, column }
    },
    shape: (file, name) => {
      const declaration = project.getSourceFileOrThrow(file).getExportedDeclarations().get(name)![0]!
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
