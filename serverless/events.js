// The S3 events that invoke the function: one for each suffix in suffixes.json, in lower and upper case, because S3
// compares suffixes to the letter. ObjectCreated:* and not :Put alone, because a multipart upload arrives as
// ObjectCreated:CompleteMultipartUpload. With on_source_delete = "remove" also the two kinds of removal: by a request,
// and by a lifecycle rule of the bucket. S3 allows 100 entries for a bucket; these are 20 or 60.
'use strict';

const renditions = require('./renditions.js');
const suffixes = require('./suffixes.json');

const CREATED = ['s3:ObjectCreated:*'];
const REMOVED = ['s3:ObjectRemoved:*', 's3:LifecycleExpiration:*'];

module.exports = async ({ resolveVariable }) => {
  const existingBucket = await resolveVariable('param:existingSourceBucket, null');
  const types = renditions().on_source_delete === 'remove' ? [...CREATED, ...REMOVED] : CREATED;
  return types.flatMap((event) =>
    suffixes
      .flatMap((suffix) => [suffix, suffix.toUpperCase()])
      .map((suffix) => ({
        s3: {
          bucket: existingBucket ?? 'source', // osls creates a bucket of this name, as S3BucketSource
          existing: existingBucket !== null,
          event,
          rules: [{ suffix: `.${suffix}` }],
        },
      })),
  );
};
