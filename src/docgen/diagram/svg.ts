/** A picture as SVG: no scripts, nothing from elsewhere; both themes, readable aloud. */
import type { Picture, Shape } from "./shapes.ts"

/** Text in XML; control characters have no place there. */
export const escapeXml = (text: string): string =>
  // oxlint-disable-next-line no-control-regex -- XML has none of them
  text.replaceAll(/[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/g, "\uFFFD").replaceAll(/[&<>"']/g, (one) => `&#${one.codePointAt(0)};`)

/** Colours are variables, so that a page may set its own theme. */
const style = `
.hd{--ink:#1c2330;--soft:#5a6579;--line:#8290a8;--paper:#fff;--step:#fff;--frame:#f5f7fb;--choice:#fff7e0;--wait:#eef3ff;--end:#1c2330;--endink:#fff;--err:#b3261e;--undo:#7a4fb5;--again:#2764c9;--add:#1a7f37;--del:#b3261e;--chg:#9a6700;--mig:#7a4fb5;font:13px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
@media (prefers-color-scheme:dark){.hd{--ink:#e6eaf2;--soft:#a5b0c4;--line:#72809a;--paper:#12161d;--step:#1d2430;--frame:#171d27;--choice:#2e2815;--wait:#1a2540;--end:#e6eaf2;--endink:#12161d;--err:#ff8a80;--undo:#c6a3ff;--again:#86b3ff;--add:#57d38c;--del:#ff8a80;--chg:#e3b341;--mig:#c6a3ff}}
:root.hd{background:var(--paper)}.hd rect{stroke:var(--line);fill:var(--step)}.hd text{fill:var(--ink)}.hd .soft{fill:var(--soft);font-size:12px}.hd .strong{font-weight:600}
.hd .frame>rect{fill:var(--frame)}.hd .choice>rect{fill:var(--choice)}.hd .wait>rect{fill:var(--wait);stroke-dasharray:none;stroke-width:2}.hd .end>rect{fill:var(--end);stroke:none}.hd .end>text{fill:var(--endink)}
.hd .jump>rect{fill:var(--choice);stroke:var(--again)}.hd .undo>rect{stroke:var(--undo);stroke-dasharray:4 3}.hd .error>rect{stroke:var(--err)}.hd .stage>rect{stroke-width:.7}
.hd path{fill:none;stroke:var(--line);stroke-width:1.4}.hd path.again{stroke:var(--again);stroke-dasharray:5 3}.hd path.error{stroke:var(--err);stroke-dasharray:5 3}.hd path.undo{stroke:var(--undo);stroke-dasharray:4 3}
.hd text.again{fill:var(--again);font-size:11px}.hd text.error{fill:var(--err);font-size:11px}.hd text.undo{fill:var(--undo);font-size:11px}.hd text.edge{fill:var(--soft);font-size:12px}.hd text.stage{font-weight:600}
.hd .lane{stroke:var(--line);stroke-dasharray:2 5}.hd marker path{fill:var(--line);stroke:none}.hd .added>rect{stroke:var(--add);stroke-width:2.5}.hd .removed>rect{stroke:var(--del);stroke-width:2.5;stroke-dasharray:6 4}.hd .removed>text{text-decoration:line-through}
.hd .changed>rect{stroke:var(--chg);stroke-width:2.5}.hd .migrated>rect{stroke:var(--mig);stroke-width:2.5}
`.trim()

const round = (value: number): string => String(Math.round(value * 10) / 10)

/** The text of the SVG; `id` tells several in one page apart. */
export function svg({ width, height, title, description, shapes }: Picture, id = "flow"): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="hd" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="${id}-t ${id}-d">`,
    `<title id="${id}-t">${escapeXml(title)}</title><desc id="${id}-d">${escapeXml(description)}</desc>`,
    `<style>${style}</style>`,
    `<defs><marker id="${id}-a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0 8 4 0 8z"/></marker></defs>`,
    // frames lie below what is in them
    ...shapes.map((shape) => drawn(shape, id)),
    "</svg>",
  ].join("\n")
}

function drawn(shape: Shape, id: string): string {
  switch (shape.kind) {
    case "line":
      return `<path class="${shape.look}" d="M${shape.points.map(([x, y]) => `${round(x)} ${round(y)}`).join("L")}"${
        shape.arrow ? ` marker-end="url(#${id}-a)"` : ""
      }/>`
    case "lane":
      return `<path class="lane" d="M${round(shape.x)} ${round(shape.y)}v${round(shape.height)}"/>`
    case "label":
      return `<text class="${shape.look}" x="${round(shape.x)}" y="${round(shape.y)}" text-anchor="${shape.from}">${escapeXml(shape.text)}</text>`
    case "box":
    case "frame": {
      const { kind, look, change, path, title, x, y, width, height, words } = shape
      const radius = look === "end" || look === "jump" ? Math.min(height / 2, 18) : kind === "frame" ? 10 : 6
      const text = words.map(({ text: line, strong }, i) => {
        const at = kind === "frame" ? `x="${round(x + 14)}"` : `x="${round(x + width / 2)}" text-anchor="middle"`
        return `<text ${at} y="${round(y + 21 + i * 18)}" class="${strong ? "strong" : "soft"}">${escapeXml(line)}</text>`
      })
      const classes = [kind === "frame" ? "frame" : look, change].filter(Boolean).join(" ")
      return `<g class="${classes}"${path === "" ? "" : ` data-path="${escapeXml(path)}"`}><title>${
        escapeXml([change, title].filter(Boolean).join(": "))
      }</title><rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" rx="${round(radius)}"/>${text.join("")}</g>`
    }
  }
}
