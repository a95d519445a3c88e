// Encodes PNGs without scaling them, by sharp with its defaults but for the quality. On its standard input: a JSON list
// of { source, format, quality, output }.
import { readFile, writeFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import sharp from "sharp";

for (const { source, format, quality, output } of JSON.parse(await text(process.stdin))) {
  const image = sharp(await readFile(source));
  if (format === "jpeg") image.flatten({ background: "#ffffff" }); // as ours, and as it is judged
  await writeFile(output, await image[format]({ quality }).toBuffer());
}
