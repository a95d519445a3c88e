// What the stack takes from renditions.toml, so that a change there needs no edit of serverless.yml:
//   keys           key patterns in the destination bucket that the function may touch: one for each rendition,
//                  and one for the manifests
//   actions        what it may do there: remove nothing, unless renditions go with their source
//   removalEvents  the S3 events that tell of a removed source, by somebody or by a rule of the bucket; where renditions
//                  stay, two that no bucket sends by default, and that would change nothing
'use strict';

const fs = require('fs');
const path = require('path');
const { parse } = require('smol-toml');

module.exports = () => {
  const file = path.join(__dirname, '..', 'renditions.toml');
  const {
    renditions,
    on_source_delete: onSourceDelete,
    manifest = true,
  } = parse(fs.readFileSync(file, 'utf8'));
  const goesAlong = onSourceDelete === 'remove';
  const patterns = Object.entries(renditions).map(([name, spec]) =>
    (spec.key || (spec.widths ? '{name}-{width}/{key}' : '{name}/{key}'))
      .replaceAll('{name}', name)
      .replaceAll(/\{\w+\}.*?(?=\/|$)/g, '*'),
  );
  return {
    keys: [...new Set(patterns), ...(manifest ? ['manifests/*'] : [])].map((pattern) => ({
      'Fn::Sub': [
        'arn:${AWS::Partition}:s3:::${Bucket}/' + pattern,
        { Bucket: { Ref: 'DestinationBucket' } },
      ],
    })),
    actions: [
      's3:PutObject',
      's3:GetObject',
      's3:AbortMultipartUpload',
      ...(goesAlong ? ['s3:DeleteObject'] : []),
    ],
    removalEvents: goesAlong
      ? ['s3:ObjectRemoved:*', 's3:LifecycleExpiration:*']
      : ['s3:ReducedRedundancyLostObject', 's3:Replication:OperationMissedThreshold'],
  };
};
