// Where in the destination bucket the function may write: one key pattern for each rendition of
// renditions.toml, so that the role's statement names exactly these and a new rendition needs no edit here.
'use strict';

const fs = require('fs');
const path = require('path');
const { parse } = require('smol-toml');

module.exports = () => {
  const file = path.join(__dirname, '..', 'renditions.toml');
  const { renditions } = parse(fs.readFileSync(file, 'utf8'));
  const patterns = Object.entries(renditions).map(([name, spec]) =>
    (spec.key || (spec.widths ? '{name}-{width}/{key}' : '{name}/{key}'))
      .replaceAll('{name}', name)
      .replaceAll(/\{\w+\}.*?(?=\/|$)/g, '*'),
  );
  return patterns.map((pattern) => ({
    'Fn::Sub': [
      'arn:${AWS::Partition}:s3:::${Bucket}/' + pattern,
      { Bucket: { Ref: 'DestinationBucket' } },
    ],
  }));
};
