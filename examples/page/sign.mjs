import { randomUUID } from "node:crypto";
import { S3Client } from "@aws-sdk/client-s3";
import { createPresignedPost } from "@aws-sdk/s3-presigned-post";

const TYPES = ["jpeg", "png", "webp", "gif", "avif", "heic", "tiff", "bmp"];
const MAX_BYTES = 20_000_000; // limits.source_bytes, or less
const client = new S3Client();

/** Return a form that uploads one image of a signed-in user; throws if the type is not allowed. */
export function signUpload(userId, mediaType) {
  const type = TYPES.find((name) => mediaType === `image/${name}`);
  if (!type) throw new TypeError(`${mediaType} is not allowed`);
  return createPresignedPost(client, {
    Bucket: process.env.SOURCE_BUCKET,
    Key: `uploads/${userId}/${randomUUID()}.${type}`,
    Fields: { "Content-Type": mediaType },
    Conditions: [{ "Content-Type": mediaType }, ["content-length-range", 1, MAX_BYTES]],
    Expires: 300,
  });
}
