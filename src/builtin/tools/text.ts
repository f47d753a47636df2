/** Text, hashes, ids and dates, as tools. */
import { createHash, randomUUID } from "node:crypto"
import { tool } from "../../../dsl/flow/tool.ts"
import { refuse, refusing } from "./error.ts"
import { object, oneOf, optional, recordOf, text, whole } from "./input.ts"
import { pattern } from "./pattern.ts"

const longest = 1_000_000
const long = text({ longest })

/** Fills `{{name}}` in a text. */
export const fillTemplate = tool(
  "fill_template",
  {
    description: "Fills {{name}} in a text with the values that are given; a name without a value is an error.",
    input: object({ template: long, values: recordOf(text({ longest: 100_000 })) }),
    level: "safe",
  },
  refusing(({ template, values }) => {
    let length = template.length
    return template.replace(/\{\{ ?([A-Za-z0-9_]{1,64}) ?\}\}/g, (place, key: string) => {
      if (!Object.hasOwn(values, key)) refuse("fill_template", "missing", `there is no value for '${key}'`)
      length += values[key]!.length - place.length
      if (length > longest) refuse("fill_template", "too-much", `it is longer than ${longest} characters`)
      return values[key]!
    })
  }),
)

/** Finds what matches a pattern. */
export const findText = tool("find_text", {
  description: "Finds all matches of a pattern (RE2 syntax; flags i, s, m) in a text, with their places and groups.",
  input: object({ text: long, pattern: text({ longest: 1000 }), flags: optional(text({ longest: 3 })) }),
  level: "safe",
}, refusing(({ text: given, pattern: source, flags }) => pattern("find_text", source, flags).all(given)))

/** Replaces what matches a pattern. */
export const replaceText = tool("replace_text", {
  description: "Replaces all matches of a pattern (RE2 syntax; flags i, s, m); $1 to $9 stand for groups, $& for the match.",
  input: object({ text: long, pattern: text({ longest: 1000 }), by: text({ longest: 10_000 }), flags: optional(text({ longest: 3 })) }),
  level: "safe",
}, refusing(({ text: given, pattern: source, by, flags }) => pattern("replace_text", source, flags).replace(given, by)))

/** The lines two texts do not share. */
export const diffText = tool(
  "diff_text",
  {
    description: "Compares two texts line by line: lines that went begin with -, lines that came with +, others with a space.",
    input: object({ before: text({ longest: 200_000 }), after: text({ longest: 200_000 }) }),
    level: "safe",
  },
  refusing(({ before, after }) => {
    const [a, b] = [before.split("\n"), after.split("\n")]
    if (a.length * b.length > 25_000_000) refuse("diff_text", "too-much", "the texts have too many lines to compare")
    // the longest common subsequence, from the end
    const width = b.length + 1
    const common = new Uint16Array((a.length + 1) * width)
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        const here = i * width + j
        common[here] = a[i] === b[j] ? common[here + width + 1]! + 1 : Math.max(common[here + width]!, common[here + 1]!)
      }
    }
    const out: Array<string> = []
    for (let [i, j] = [0, 0]; i < a.length || j < b.length;) {
      const here = i * width + j
      if (i < a.length && j < b.length && a[i] === b[j]) {
        out.push(` ${a[i++]}`)
        j++
      } else if (i < a.length && (j === b.length || common[here + width]! >= common[here + 1]!)) out.push(`-${a[i++]}`)
      else out.push(`+${b[j++]}`)
    }
    return out.join("\n")
  }),
)

/** The hash of a text. */
export const hashText = tool("hash_text", {
  description: "The hash of a text, in hex.",
  input: object({ text: long, algorithm: optional(oneOf("sha256", "sha512", "sha1", "md5")) }),
  level: "safe",
}, ({ text: given, algorithm = "sha256" }) => createHash(algorithm).update(given).digest("hex"))

/** A new id. */
export const newId = tool("new_id", { description: "A new random UUID.", input: object({}), level: "safe" }, () => randomUUID())

/** Dates in and out of ISO 8601. */
export const dateTime = tool(
  "date_time",
  {
    description: "A date in ISO 8601 and in words: now, or the one that is given, moved by so many seconds, in a time zone.",
    input: object({ date: optional(text({ longest: 64 })), seconds: optional(whole({ least: -1e11, most: 1e11 })), zone: optional(text({ longest: 64 })) }),
    level: "safe",
  },
  refusing(({ date, seconds = 0, zone = "UTC" }) => {
    const at = new Date((date === undefined ? Date.now() : Date.parse(date)) + seconds * 1000)
    if (Number.isNaN(at.getTime())) return refuse("date_time", "date", "it is no date")
    try {
      const words = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long", timeZone: zone }).format(at)
      return { iso: at.toISOString(), milliseconds: at.getTime(), words }
    } catch {
      return refuse("date_time", "zone", `there is no time zone '${zone}'`)
    }
  }),
)
