// sharp with its defaults.
//   node sharp.mjs                                starts, and does nothing
//   node sharp.mjs SOURCE FORMAT WIDTHS OUT       makes a ladder, one size after the other
//   node sharp.mjs encode <JOBS                   encodes PNGs without scaling them, at given qualities; JOBS is a JSON
//                                                 list of { source, format, quality, output }
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import sharp from "sharp";

const [source, format, widths, out] = process.argv.slice(2);

async function encode({ source, format, quality, output }) {
  const image = sharp(await readFile(source));
  if (format === "jpeg") image.flatten({ background: "#ffffff" }); // as the engine does
  await writeFile(output, await image[format]({ quality }).toBuffer());
}

async function ladder() {
  const body = await readFile(source);
  for (const width of widths.split(",").map(Number)) {
    const image = sharp(body, { animated: true }).autoOrient().resize({ width, withoutEnlargement: true });
    await writeFile(join(out, String(width)), await image[format]().toBuffer());
  }
}

if (source === "encode") {
  for (const job of JSON.parse(await text(process.stdin))) await encode(job);
} else if (source) {
  await ladder();
}
