/** A flow as it is written: the calls of its verbs, in their order, and what is said of it. */
import type { ArrowFunction, CallExpression, FunctionExpression, JSDoc, Node as AstNode } from "ts-morph"
import type * as TsMorph from "ts-morph"
import { oneLine } from "../../../dsl/ir/encode.ts"
import { body } from "../label.ts"
import type { Node as FlowNode } from "../../../dsl/ir/node.ts"

/** A function as an author writes it. */
export type Written = ArrowFunction | FunctionExpression
export type Morph = typeof TsMorph

/** Verbs that write a node. */
const verbs = new Set(["step", "update", "when", "match", "loop", "break", "continue", "each", "parallel", "stream", "protect", "wait"])
/** Stages of a stream that may hold work of their own. */
const stages = new Set(["map", "filter", "flatMap", "tap"])

/** The calls that have written the nodes of a chain, wherever its beginning is declared. */
export function callsOf(morph: Morph, written: AstNode): ReadonlyArray<CallExpression> {
  const { Node } = morph
  if (Node.isParenthesizedExpression(written) || Node.isAsExpression(written) || Node.isSatisfiesExpression(written)) {
    return callsOf(morph, written.getExpression())
  }
  if (Node.isIdentifier(written)) {
    const declared = declaredBy(morph, written)
    const initializer = Node.isVariableDeclaration(declared) ? declared.getInitializer() : undefined
    return initializer === undefined ? [] : callsOf(morph, initializer)
  }
  if (!Node.isCallExpression(written)) return []
  const callee = written.getExpression()
  // nest(flow, …): what it nests
  if (!Node.isPropertyAccessExpression(callee)) {
    const [first] = written.getArguments()
    return callee.getText() === "nest" && first !== undefined ? callsOf(morph, first) : []
  }
  const before = callsOf(morph, callee.getExpression())
  return (verbs.has(callee.getName()) || stages.has(callee.getName())) && !isGuard(morph, written) ? [...before, written] : before
}

/** What the first function of a node is for. */
const first: Readonly<Partial<Record<FlowNode["kind"], string>>> = {
  when: "on",
  loop: "test",
  jump: "condition",
  each: "items",
  stream: "source",
  step: "work",
}

/** The functions of a call as they are written, and the conditions that guard it. */
export function textsOf(morph: Morph, call: CallExpression, node: FlowNode, functions: ReadonlyArray<Written>): Readonly<Record<string, string>> {
  const { Node } = morph
  const conditions: Array<string> = []
  for (let before = calledOn(morph, call); isGuard(morph, before); before = calledOn(morph, before)) {
    conditions.unshift(oneLine(before.getArguments()[0]!.getText()))
  }
  const texts = functions.map((fn) => {
    const parent = fn.getParent()
    const option = Node.isPropertyAssignment(parent) ? parent.getName() : undefined
    const key = option === undefined || (["while", "until", "over", "times"].includes(option) && node.kind === "loop") ? String(first[node.kind]) : option
    return [key, oneLine(fn.getText())] as const
  })
  return {
    ...Object.fromEntries(texts.toReversed()),
    ...(conditions.length === 0 ? {} : { guard: conditions.length === 1 ? conditions[0]! : conditions.map(body).join(" and ") }),
  }
}
const calledOn = ({ SyntaxKind }: Morph, call: CallExpression): AstNode => call.getExpressionIfKindOrThrow(SyntaxKind.PropertyAccessExpression).getExpression()
const isGuard = (morph: Morph, node: AstNode): node is CallExpression => {
  if (!morph.Node.isCallExpression(node)) return false
  const callee = node.getExpression()
  return morph.Node.isPropertyAccessExpression(callee) && callee.getName() === "when" && node.getArguments().length === 1
}

/** What a declaration is given. */
export const writtenIn = ({ Node }: Morph, declaration: AstNode): AstNode | undefined =>
  Node.isVariableDeclaration(declaration) ? declaration.getInitializer() : Node.isExpression(declaration) ? declaration : undefined

const declaredBy = ({ Node }: Morph, name: AstNode): AstNode | undefined => {
  const symbol = name.getSymbolOrThrow()
  const [declared] = (symbol.getAliasedSymbol() ?? symbol).getDeclarations()
  return Node.isParameterDeclaration(declared) ? undefined : declared
}

/** What the doc comment of a declaration says, or that before a verb. */
export function proseOf(morph: Morph, node: AstNode): string | undefined {
  const { Node } = morph
  if (Node.isCallExpression(node)) {
    const callee = node.getExpression()
    if (!Node.isPropertyAccessExpression(callee)) return undefined
    // between what stands before and the dot
    const between = node.getSourceFile().getFullText().slice(callee.getExpression().getEnd(), callee.getNameNode().getStart())
    return textOf(/\/\*\*([\s\S]*?)\*\//.exec(between)?.[1])
  }
  const declared = Node.isIdentifier(node) ? declaredBy(morph, node) : node
  const statement = Node.isVariableDeclaration(declared) ? declared.getVariableStatement() : undefined
  return spoken(statement?.getJsDocs().at(-1))
}

const spoken = (doc: JSDoc | undefined): string | undefined => {
  if (doc === undefined) return undefined
  const tagged = (name: string) => doc.getTags().filter((tag) => tag.getTagName() === name).map((tag) => tag.getCommentText()?.trim() ?? "")
  // with a fence of its own, and words around it, or as bare code
  const examples = tagged("example").map((text) => (/^ {0,3}(```|~~~)/m.test(text) ? text : `\`\`\`ts\n${text}\n\`\`\``))
  return [linked(doc.getDescription().trim()), ...tagged("remarks").map(linked), ...examples].filter((part) => part !== "").join("\n\n") || undefined
}

/** `{@link url text}` as a link, `{@link name}` as code, `{@link name text}` as its text. */
const linked = (text: string): string =>
  text.replaceAll(/\{@link(?:code|plain)?\s+([^\s|}]+)(?:\s*\|?\s*([^}]+))?\}/g, (_, to: string, said?: string) => {
    const words = said?.trim() ?? ""
    return /^https?:/.test(to) ? `[${words === "" ? to : words}](${to})` : words === "" ? `\`${to}\`` : words
  })

/** The text of a doc comment, without its stars. */
const textOf = (comment: string | undefined): string | undefined =>
  linked(comment?.split("\n").map((line) => line.replace(/^\s*\*? ?/, "").trimEnd()).join("\n").trim() ?? "") || undefined

/** What a function of a block gives. */
export const bodyOf = ({ Node }: Morph, fn: AstNode | undefined): AstNode | undefined => {
  if (!Node.isArrowFunction(fn) && !Node.isFunctionExpression(fn) && !Node.isMethodDeclaration(fn)) return undefined
  const body = fn.getBody()
  // its own return, not one of a function inside it
  return Node.isBlock(body) ? body.getStatements().find(Node.isReturnStatement)?.getExpression() : body
}
