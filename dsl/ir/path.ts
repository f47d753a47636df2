/** Where a node sits in one run: `refine[3]/draft`, `enrich/crm/fetch`. The identity of a record. */

/** Names become parts of paths and keys of records: letters, digits and `_ - . : # space`, at most 128 characters. */
const allowed = /^[\p{L}\p{N}_$][\p{L}\p{N}_$\-.:# ]{0,127}$/u
const forbidden = new Set(["__proto__", "constructor", "prototype"])

/** Why `name` cannot name a node, or `undefined` if it can. */
export function nameProblem(name: string): string | undefined {
  if (forbidden.has(name)) return `'${name}' is reserved by JavaScript`
  if (!allowed.test(name)) {
    return `${JSON.stringify(name)} is not a name: use letters, digits, spaces and _ $ - . : #, start with a letter or digit, at most 128 characters`
  }
  return undefined
}

/** The path of one pass of a loop or one item of an each. */
export const passPath = (path: string, index: number): string => `${path}[${index}]`
/** A path as it is written in the flow, without pass numbers: `refine/draft`. */
export const writtenPath = (path: string): string => (path.includes("[") ? path.replaceAll(/\[\d+\]/g, "") : path)
/** The parts of a path: `refine[3]/draft` is refine, [3], draft. */
export const pathParts = (path: string): ReadonlyArray<string> => path.match(/[^/[\]]+|\[\d+\]/g) ?? []
/** The path of something inside `block`, where `""` is the flow itself. */
export const insidePath = (block: string, name: string): string => (block === "" ? name : `${block}/${name}`)
