// How uploads of the suffixes in suffixes.json reach the function, by the parameters `delivery` and `buffer`:
//   events         of the function: S3's, one for each suffix in lower and upper case, because S3 compares suffixes to
//                  the letter; or the messages of the buffer
//   notifications  of the source bucket, besides those that osls adds for the events
//   permissions    of S3 to invoke the function, and of what sets that up
//   pattern        of the EventBridge rule, which ignores the case of suffixes
//   visibility     how long a message of the buffer is hidden while the function works on it, in seconds
// With on_source_delete = "remove", also removals: by a request, and by a lifecycle rule of the bucket. S3 allows 100
// notifications for a bucket; these are 20 or 60.
'use strict';

const renditions = require('./renditions.js');
const suffixes = require('./suffixes.json');

// ObjectCreated:* and not :Put alone: a multipart upload arrives as ObjectCreated:CompleteMultipartUpload.
const CREATED = ['s3:ObjectCreated:*'];
const REMOVED = ['s3:ObjectRemoved:*', 's3:LifecycleExpiration:*'];

module.exports = async ({ resolveVariable }) => {
  const delivery = await resolveVariable('param:delivery');
  const buffer = await resolveVariable('param:buffer');
  const bucket = await resolveVariable('param:existingSourceBucket, null');
  const name = await resolveVariable('self:custom.sourceBucket');
  const direct = delivery === 's3' && buffer === 'none';
  const removes = renditions().on_source_delete === 'remove';
  if (delivery === 's3') {
    if (bucket !== null && buffer === 'sqs') {
      throw new Error('buffer: sqs for an existing source bucket needs delivery: eventbridge');
    }
    if (!String(await resolveVariable('param:sourceAccount')).startsWith('$')) {
      throw new Error('sourceAccount needs delivery: eventbridge, since S3 invokes functions of its own account only');
    }
  }
  const filters = (removes ? [...CREATED, ...REMOVED] : CREATED).flatMap((event) =>
    suffixes
      .flatMap((suffix) => [suffix, suffix.toUpperCase()])
      .map((suffix) => ({ event, suffix: `.${suffix}` })),
  );
  return {
    events: await events(delivery, buffer, bucket, filters, resolveVariable),
    notifications: notifications(delivery, buffer, filters),
    permissions: direct ? permissions(bucket, name) : {},
    visibility: 6 * Number(await resolveVariable('param:timeout')), // what AWS recommends
    pattern: {
      source: ['aws.s3'],
      'detail-type': removes ? ['Object Created', 'Object Deleted'] : ['Object Created'],
      detail: {
        bucket: { name: [{ 'Fn::Sub': name }] },
        object: { key: suffixes.map((suffix) => ({ suffix: { 'equals-ignore-case': `.${suffix}` } })) },
      },
    },
  };
};

async function events(delivery, buffer, bucket, filters, resolveVariable) {
  if (buffer === 'sqs') {
    const queue = {
      arn: { 'Fn::GetAtt': ['BufferQueue', 'Arn'] },
      batchSize: 1, // an upload never waits for another one in its batch
      functionResponseType: 'ReportBatchItemFailures', // without it, SQS would delete the messages that failed
      maximumConcurrency: Number(await resolveVariable('param:maxConcurrency')),
    };
    return [{ sqs: queue }];
  }
  if (delivery === 'eventbridge') {
    return []; // delivery.yml has the rule
  }
  return filters.map(({ event, suffix }) => ({
    s3: {
      bucket: bucket ?? 'source', // osls creates a bucket of this name, as S3BucketSource
      existing: bucket !== null,
      event,
      rules: [{ suffix }],
    },
  }));
}

function notifications(delivery, buffer, filters) {
  if (delivery === 'eventbridge') {
    return { EventBridgeConfiguration: { EventBridgeEnabled: true } };
  }
  if (buffer === 'sqs') {
    return {
      QueueConfigurations: filters.map(({ event, suffix }) => ({
        Event: event,
        Filter: { S3Key: { Rules: [{ Name: 'suffix', Value: suffix }] } },
        Queue: { 'Fn::GetAtt': ['BufferQueue', 'Arn'] },
      })),
    };
  }
  return {};
}

// osls allows S3 to invoke the function for a bucket named `source`, and the helper that changes the notifications of an
// existing bucket to change who may invoke any function. Both get the exact names.
function permissions(bucket, name) {
  if (bucket === null) {
    const arn = { 'Fn::Sub': 'arn:${AWS::Partition}:s3:::' + name };
    return { extensions: { ResizeLambdaPermissionSourceS3: { Properties: { SourceArn: arn } } } };
  }
  const allow = (actions, resource) => ({ Effect: 'Allow', Action: actions, Resource: resource });
  const policy = {
    PolicyName: 'notifications',
    PolicyDocument: {
      Version: '2012-10-17',
      Statement: [
        allow(['s3:PutBucketNotification', 's3:GetBucketNotification'], {
          'Fn::Sub': 'arn:${AWS::Partition}:s3:::' + bucket,
        }),
        allow(['lambda:AddPermission', 'lambda:RemovePermission'], { 'Fn::GetAtt': ['ResizeLambdaFunction', 'Arn'] }),
      ],
    },
  };
  return { extensions: { IamRoleCustomResourcesLambdaExecution: { Properties: { Policies: [policy] } } } };
}
