/** What the source and the compiler know of a flow: where each node is written, what it reads, gives and fails with. */
import type { CallExpression, Node, Signature, Type } from "ts-morph"
import type { Block, FlowIR, Node as FlowNode } from "../../../dsl/ir/node.ts"
import { childPrefix, inner } from "../../../dsl/ir/walk.ts"
import { errorsIn, membersOf } from "./errors.ts"
import { bodyOf, callsOf, type Morph, proseOf, textsOf, type Written, writtenIn } from "./chain.ts"

export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}
export interface Named {
  readonly name: string
  readonly type: string
}
export interface NodeFacts extends Place {
  /** What it reads of the scope, or of its definition's input. */
  readonly reads: ReadonlyArray<Named>
  /** The type that its name is bound to. */
  readonly gives: string | undefined
  /** The errors that it may fail with: those of its own work, and those that it adds to the flow's. */
  readonly fails: ReadonlyArray<string>
  /** The services that it adds to the flow's. */
  readonly needs: ReadonlyArray<string>
  /** What its doc comment says, or that of its definition. */
  readonly prose: string | undefined
  /** Its functions as they are written, by what they are for: `on`, `test`, `condition`, `items`, `source`, `work`, `guard`, `compensate`. */
  readonly texts: Readonly<Record<string, string>>
}
export interface FlowFacts extends Place {
  readonly prose: string | undefined
  readonly input: string
  readonly output: string
  readonly fails: ReadonlyArray<string>
  readonly needs: ReadonlyArray<string>
  /** By path as it is written. */
  readonly nodes: ReadonlyMap<string, NodeFacts>
}

/** The facts of the flow that `declaration` declares. */
export function factsOf(morph: Morph, declaration: Node, flow: FlowIR): FlowFacts {
  const reader = new Reader(morph)
  const types = reader.types(declaration)
  const nodes = new Map<string, NodeFacts>()
  reader.block(writtenIn(morph, declaration), flow.body, "", nodes)
  return {
    ...placeOf(declaration),
    prose: proseOf(morph, declaration),
    input: types === undefined ? "unknown" : reader.text(inputOf(types, declaration), declaration),
    output: types === undefined ? "unknown" : reader.text(types.output, declaration),
    fails: types === undefined ? [] : reader.members(types.failure, declaration),
    needs: types === undefined ? [] : reader.services(types.needs, declaration),
    nodes,
  }
}

export const placeOf = (node: Node): Place => {
  const source = node.getSourceFile()
  return { file: source.getFilePath(), ...source.getLineAndColumnAtPos(node.getStart()) }
}

interface Types {
  readonly input: Type
  readonly output: Type
  readonly failure: Type
  readonly needs: Type
}

/** What a flow or a definition takes. */
const inputOf = ({ input }: Types, at: Node): Type => input.getCallSignatures()[0]!.getParameters()[0]!.getTypeAtLocation(at)

class Reader {
  readonly #morph: Morph
  constructor(morph: Morph) {
    this.#morph = morph
  }

  /** What the compiler knows of a flow or a definition. */
  types(node: Node): Types | undefined {
    const known = node.getType().getProperty("~types")?.getTypeAtLocation(node)
    if (known === undefined || known.isAny()) return undefined
    const part = (name: string): Type => known.getPropertyOrThrow(name).getTypeAtLocation(node)
    return { input: part("input"), output: part("output"), failure: part("failure"), needs: part("needs") }
  }

  /** A type as people write it. */
  text(type: Type, at: Node): string {
    const { NoTruncation, UseAliasDefinedOutsideCurrentScope, InTypeAlias } = this.#morph.TypeFormatFlags
    return type.getText(at, NoTruncation | UseAliasDefinedOutsideCurrentScope | InTypeAlias).replaceAll(/import\("[^"]*"\)\./g, "")
  }

  members(type: Type, at: Node): ReadonlyArray<string> {
    return this.#texts(membersOf(type), at)
  }

  /** Signals and effects are marks, not services. */
  services(type: Type, at: Node): ReadonlyArray<string> {
    return this.#texts(membersOf(type).filter((member) => member.getProperty("~mark") === undefined), at)
  }

  #texts(types: ReadonlyArray<Type>, at: Node): ReadonlyArray<string> {
    return [...new Set(types.map((type) => this.text(type, at)))].sort()
  }

  /** The nodes of a block, paired with the calls that have written them. */
  block(written: Node | undefined, block: Block, prefix: string, into: Map<string, NodeFacts>): void {
    const calls = written === undefined ? [] : callsOf(this.#morph, written)
    // a chain that is built by a program has other calls than nodes
    // not every stage of a stream is a node
    const isStages = calls.some((call) => this.#stagesOf(call) !== undefined)
    const paired = calls.length === block.nodes.length && !isStages ?
      (_node: FlowNode, i: number) => calls[i] :
      (node: FlowNode) => calls.find((call) => nameIn(this.#morph, call) === node.name)
    for (const [i, node] of block.nodes.entries()) {
      const call = paired(node, i)
      if (call === undefined) continue
      const path = prefix + node.name
      into.set(path, this.#node(call, node))
      for (const { label, block: child } of inner(node)) this.block(this.#blockIn(call, node, label), child, childPrefix(path, label), into)
    }
  }

  #node(call: CallExpression, node: FlowNode): NodeFacts {
    const { Node } = this.#morph
    const callee = call.getExpressionIfKindOrThrow(this.#morph.SyntaxKind.PropertyAccessExpression)
    const stage = this.#stagesOf(call)
    const before = stage === undefined ? this.types(callee.getExpression()) : this.#stagesOf(callee.getExpression())
    const flow = this.types(call)
    const after = stage ?? flow
    const name = node.kind === "step" ? node.updates ?? node.name : node.name
    const given = flow?.output.getProperty(name)?.getTypeAtLocation(call) ?? this.#merged(call, name) ?? this.#bound(call, name)
    const added = (what: "failure" | "needs", list: (type: Type, at: Node) => ReadonlyArray<string>): ReadonlyArray<string> => {
      if (before === undefined || after === undefined) return []
      const known = new Set(list(before[what], call))
      return list(after[what], call).filter((one) => !known.has(one))
    }
    const [first] = call.getArguments()
    const texts = textsOf(this.#morph, call, node, this.#functions(call).filter((fn) => !this.#isBlock(fn)))
    const definition = call.getArguments().find((argument) => this.#isDefinition(argument))
    const work = definition ?? call.getArguments().flatMap((argument) => this.#nested(argument)).find((one) => this.#isDefinition(one))
    return {
      ...placeOf(Node.isStringLiteral(first) ? first : callee.getNameNode()),
      reads: definition === undefined ? this.#reads(call) : this.#taken(definition),
      gives: stage !== undefined ? this.text(stage.item, call) : given === undefined ? undefined : this.text(given, call),
      fails: [...new Set([...added("failure", (type, at) => this.members(type, at)), ...this.#own(call, node, work)])].sort(),
      needs: added("needs", (type, at) => this.services(type, at)),
      prose: proseOf(this.#morph, call) ?? (definition === undefined ? undefined : proseOf(this.#morph, definition)),
      texts,
    }
  }

  /** What `.merge` behind it binds: without that, its forks do not go together. */
  #merged(call: CallExpression, name: string): Type | undefined {
    const { Node } = this.#morph
    const access = call.getParent()
    const merge = Node.isPropertyAccessExpression(access) && access.getName() === "merge" ? access.getParent() : undefined
    return merge === undefined ? undefined : this.types(merge)?.output.getProperty(name)?.getTypeAtLocation(merge)
  }

  /** What a name is bound to that a block does not give back: one of the scope around it, which it has changed. */
  #bound(call: CallExpression, name: string): Type | undefined {
    const scope = call.getType().getProperty("~scope")?.getTypeAtLocation(call)
    const of = (type: Type, part: string) => type.getPropertyOrThrow(part).getTypeAtLocation(call)
    const all = scope === undefined ? [] : ["recent", "sealed"].flatMap((part) => membersOf(of(scope, part)))
    const found = all.find((one) => of(one, "name").getLiteralValue() === name)
    return found === undefined ? undefined : of(found, "value")
  }

  #isDefinition(node: Node): boolean {
    const { Node } = this.#morph
    return (Node.isIdentifier(node) || Node.isPropertyAccessExpression(node)) && this.types(node) !== undefined
  }

  /** What `nest(flow, (scope) => …)` holds. */
  #nested(node: Node): ReadonlyArray<Node> {
    return this.#morph.Node.isCallExpression(node) && node.getExpression().getText() === "nest" ? node.getArguments().slice(0, 1) : []
  }

  /** A function that is given by its name, as it is called. */
  #named(call: CallExpression): Signature | undefined {
    const { Node } = this.#morph
    const found = call.getArguments().find((argument) => Node.isIdentifier(argument) && !this.#isDefinition(argument))
    return found?.getType().getCallSignatures()[0]
  }

  /** What the compiler knows of the stages of a stream. */
  #stagesOf(node: Node): Pick<Types, "failure" | "needs"> & { readonly item: Type } | undefined {
    const type = node.getType()
    const known = type.getProperty("~stages")?.getTypeAtLocation(node)
    const [item] = type.getTypeArguments()
    if (known === undefined || item === undefined) return undefined
    return { item, failure: known.getPropertyOrThrow("failure").getTypeAtLocation(node), needs: known.getPropertyOrThrow("needs").getTypeAtLocation(node) }
  }

  /** The errors of a step's own work, also where the flow has them already. */
  #own(call: CallExpression, node: FlowNode, definition: Node | undefined): ReadonlyArray<string> {
    if (node.kind !== "step") return []
    const late = node.timeout === undefined ? [] : ["StepTimedOut"]
    const types = definition === undefined ? undefined : this.types(definition)
    if (types !== undefined) return [...this.members(types.failure, call), ...late]
    const work = this.#functions(call).find((fn) => !this.#morph.Node.isPropertyAssignment(fn.getParent()))
    const given = work?.getReturnType() ?? this.#named(call)?.getReturnType()
    // whatever is awaited may be rejected
    const rejected = given?.getSymbol()?.getName() === "Promise" ? ["StepThrew"] : []
    return [...(given === undefined ? [] : this.#texts(errorsIn(given), call)), ...rejected, ...late]
  }

  /** What a definition takes. */
  #taken(definition: Node): ReadonlyArray<Named> {
    const type = inputOf(this.types(definition)!, definition)
    if (!type.isObject()) return []
    return type.getProperties().map((property) => ({ name: property.getName(), type: this.text(property.getTypeAtLocation(definition), definition) }))
  }

  /** What the functions of a call read of the scope. */
  #reads(call: CallExpression): ReadonlyArray<Named> {
    const { Node } = this.#morph
    const found = new Map<string, string>()
    const [taken] = this.#named(call)?.getParameters() ?? []
    for (const property of taken?.getTypeAtLocation(call).getProperties() ?? []) {
      found.set(property.getName(), this.text(property.getTypeAtLocation(call), call))
    }
    for (const fn of this.#functions(call)) {
      // a stage is given its item first
      const scope = fn.getParameters()[this.#stagesOf(call) === undefined ? 0 : 1]
      const pattern = scope?.getNameNode()
      if (pattern === undefined || this.#isBlock(fn) || !isOfScope(this.#morph, fn)) continue
      if (Node.isObjectBindingPattern(pattern)) {
        for (const element of pattern.getElements()) {
          found.set(element.getPropertyNameNode()?.getText() ?? element.getName(), this.text(element.getType(), element))
        }
        continue
      }
      for (const access of fn.getDescendantsOfKind(this.#morph.SyntaxKind.PropertyAccessExpression)) {
        if (access.getExpression().getText() === pattern.getText()) found.set(access.getName(), this.text(access.getType(), access))
      }
    }
    return Array.from(found, ([name, type]) => ({ name, type }))
  }

  /** The functions among a call's arguments and options. */
  #functions(call: CallExpression): ReadonlyArray<Written> {
    const { Node } = this.#morph
    return call.getArguments().flatMap((argument) => {
      if (Node.isCallExpression(argument) && this.#nested(argument).length > 0) return this.#functions(argument)
      const parts = Node.isObjectLiteralExpression(argument) ?
        argument.getProperties().flatMap((property) => (Node.isPropertyAssignment(property) ? [property.getInitializerOrThrow()] : [])) :
        [argument]
      return parts.filter((part) => Node.isArrowFunction(part) || Node.isFunctionExpression(part))
    })
  }

  /** It writes a part of the flow. */
  #isBlock(fn: Written): boolean {
    const given = fn.getReturnType()
    return given.getProperty("~frame") !== undefined || given.getProperty("~stages") !== undefined
  }

  /** Where the block of this label is written. */
  #blockIn(call: CallExpression, node: FlowNode, label: string | undefined): Node | undefined {
    const { Node } = this.#morph
    if (node.kind === "step") return call.getArguments().find((argument) => callsOf(this.#morph, argument).length > 0)
    const record = call.getArguments().find(Node.isObjectLiteralExpression)
    const property = label === undefined ? undefined : record?.getProperty(label) ?? record?.getProperty(JSON.stringify(label))
    if (property !== undefined) return bodyOf(this.#morph, Node.isPropertyAssignment(property) ? property.getInitializer() : property)
    const blocks = this.#functions(call).filter((fn) => this.#isBlock(fn))
    return bodyOf(this.#morph, blocks[label === "no" ? 1 : 0])
  }
}

/** The options whose functions are given the scope before anything else. */
const ofScope = new Set(["while", "until", "over", "times", "for"])
const isOfScope = ({ Node }: Morph, fn: Written): boolean => {
  const parent = fn.getParent()
  return !Node.isPropertyAssignment(parent) || ofScope.has(parent.getName())
}

const nameIn = ({ Node }: Morph, call: CallExpression): string | undefined => {
  const [first] = call.getArguments()
  return Node.isStringLiteral(first) ? first.getLiteralText() : Node.isIdentifier(first) ? first.getText() : undefined
}
