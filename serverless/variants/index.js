// A plugin of the Serverless Framework: what parameters and renditions.toml change in the stack of serverless.yml.
'use strict';

// A deletion by a request, and by a lifecycle rule of the bucket.
const REMOVED = ['s3:ObjectRemoved:*', 's3:LifecycleExpiration:*'];

// A page uploads, sees the ETag of what it uploaded, and reads nothing.
const UPLOADS = { AllowedMethods: ['PUT', 'POST'], ExposedHeaders: ['ETag'] };

const sub = (text) => ({ 'Fn::Sub': text });
const DISTRIBUTION_ARN = sub('arn:${AWS::Partition}:cloudfront::${AWS::AccountId}:distribution/${Distribution}');

module.exports = class Variants {
  constructor(serverless) {
    // At `initialize`, variables have their values and nothing is packaged yet.
    this.hooks = { initialize: () => vary(serverless.service, serverless.classes.Error) };
  }
};

function vary(service, Error) {
  const { parameters, renditions, resources: optional } = service.custom.variants;
  const { destinationBucket } = service.custom;
  const { resources, functions, provider } = service;
  const isRule = parameters.delivery === 'eventbridge';
  const isBuffered = parameters.buffer === 'sqs';
  const isDirect = !isRule && !isBuffered;

  if (!isRule && isBuffered && parameters.existingSourceBucket) {
    throw new Error('buffer: sqs for an existing source bucket needs delivery: eventbridge');
  }
  if (!isRule && !parameters.sourceAccount.startsWith('$')) {
    throw new Error('sourceAccount needs delivery: eventbridge, since S3 invokes functions of its own account only');
  }
  if (parameters.uploadOrigins && parameters.existingSourceBucket) {
    throw new Error('uploadOrigins needs a source bucket of the stack: the CORS of an existing one is its own');
  }
  if (Boolean(parameters.cdnDomain) !== Boolean(parameters.cdnCertificate)) {
    throw new Error('cdnDomain and cdnCertificate need each other');
  }

  if (parameters.anySuffix === 'true') {
    functions.resize.events = [{ s3: { bucket: 'source', event: 's3:ObjectCreated:*' } }];
  }
  if (renditions.removes) {
    removeWithSource(functions.resize, provider, parameters.existingDestinationBucket ? null : destinationBucket);
  }
  const filters = functions.resize.events.map(({ s3 }) => ({ event: s3.event, suffix: s3.rules?.[0].suffix }));
  if (isRule) {
    deliverByRule(resources.Resources, filters, optional.rule);
  }
  if (isBuffered) {
    Object.assign(resources.Resources, optional.buffer);
    fillBuffer(resources.Resources, filters, isRule);
    resources.Resources.BufferQueue.Properties.VisibilityTimeout = 6 * Number(provider.timeout); // as AWS recommends
  }
  if (!isDirect) {
    functions.resize.events = isBuffered ? [bufferEvent(parameters.maxConcurrency)] : [];
    delete resources.extensions.ResizeLambdaPermissionSourceS3;
  }
  if (parameters.uploadOrigins) {
    resources.Resources.S3BucketSource.Properties.CorsConfiguration = cors(parameters.uploadOrigins, UPLOADS);
  }
  if (parameters.existingSourceBucket) {
    useExistingSource(resources, isDirect ? functions.resize.events : [], parameters.existingSourceBucket);
  }

  const destination = resources.Resources.DestinationBucket.Properties;
  if (parameters.corsOrigins) {
    destination.CorsConfiguration = cors(parameters.corsOrigins, { AllowedMethods: ['GET', 'HEAD'] });
  }
  const distributions = parameters.distribution ? [parameters.distribution] : [];
  if (parameters.cdn === 'true') {
    addDistribution(resources, optional.cdn, parameters);
    distributions.push(DISTRIBUTION_ARN);
  }
  if (distributions.length) {
    const readsCopies = parameters.distributionReadsCopies === 'true';
    const { Statement: statements } = resources.Resources.DestinationBucketPolicy.Properties.PolicyDocument;
    statements.push(...readers(distributions, renditions, readsCopies));
  }
  if (parameters.sourceKmsKey) {
    resources.Resources.SourceKmsPolicy = policy('source-kms-key', useKey(parameters.sourceKmsKey, 'kms:Decrypt'));
  }
  if (parameters.destinationKmsKey) {
    const actions = ['kms:GenerateDataKey', 'kms:Decrypt']; // Decrypt: to write in parts
    resources.Resources.DestinationKmsPolicy = policy(
      'destination-kms-key',
      useKey(parameters.destinationKmsKey, actions),
    );
    destination.BucketEncryption = encryption(parameters.destinationKmsKey);
  }
  if (parameters.existingDestinationBucket) {
    delete resources.Resources.DestinationBucket;
    delete resources.Resources.DestinationBucketPolicy;
    provider.environment.DESTINATION_BUCKET = parameters.existingDestinationBucket;
    const { Variables: variables } = resources.extensions.ResizeLambdaFunction.Properties.Environment;
    variables.DESTINATION_BUCKET = parameters.existingDestinationBucket;
  }

  if (renditions.tagged.length) {
    const tag = { Action: 's3:PutObjectTagging', Resource: renditions.tagged };
    resources.Resources.TagsPolicy = policy('tags', tag);
  }
  if (renditions.events) {
    const bus = sub('arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default');
    resources.Resources.EventsPolicy = policy('events', { Action: 'events:PutEvents', Resource: bus });
  }
  if (parameters.batchOperations === 'true') {
    Object.assign(resources.Resources, optional.batchOperations);
    resources.Outputs.BatchOperationsRoleArn = { Value: arnOf('BatchOperationsRole') };
  }
  if (parameters.alarmTopic) {
    for (const { Type, Properties } of Object.values(resources.Resources)) {
      if (Type === 'AWS::CloudWatch::Alarm') {
        Properties.AlarmActions = Properties.OKActions = [parameters.alarmTopic];
      }
    }
  }
  dropNeedlessSub(resources);
}

const getAtt = (resource, attribute) => ({ 'Fn::GetAtt': [resource, attribute] });
const arnOf = (resource) => getAtt(resource, 'Arn');
const bucketArn = (name) => sub('arn:${AWS::Partition}:s3:::' + name);
const allow = (statement) => ({ Effect: 'Allow', ...statement });
const document = (...statements) => ({ Version: '2012-10-17', Statement: statements });

function policy(name, statement) {
  const roles = [{ Ref: 'IamRoleLambdaExecution' }];
  const properties = { PolicyName: name, Roles: roles, PolicyDocument: document(allow(statement)) };
  return { Type: 'AWS::IAM::Policy', Properties: properties };
}

function removeWithSource(resize, provider, bucket) {
  const uploads = resize.events.map(({ s3 }) => s3);
  resize.events.push(...REMOVED.flatMap((event) => uploads.map((s3) => ({ s3: { ...s3, event } }))));
  const { statements } = provider.iam.role;
  const write = statements.find(({ Action }) => Action.includes('s3:PutObject'));
  write.Action.push('s3:DeleteObject');
  // What earlier recipes have made goes too. An existing bucket may hold keys of others.
  if (bucket) {
    statements.push(allow({ Action: ['s3:GetObject', 's3:DeleteObject'], Resource: bucketArn(bucket + '/*') }));
  }
}

// A rule of EventBridge instead of S3's notifications: it ignores the case of suffixes.
function deliverByRule(resources, filters, rule) {
  Object.assign(resources, rule);
  const { EventPattern: pattern } = resources.UploadRule.Properties;
  const suffixes = new Set(filters.flatMap(({ suffix }) => suffix?.toLowerCase() ?? []));
  if (suffixes.size) {
    pattern.detail.object = { key: [...suffixes].map((suffix) => ({ suffix: { 'equals-ignore-case': suffix } })) };
  }
  if (filters.some(({ event }) => REMOVED.includes(event))) {
    pattern['detail-type'].push('Object Deleted');
  }
  resources.S3BucketSource.Properties.NotificationConfiguration = {
    EventBridgeConfiguration: { EventBridgeEnabled: true },
  };
  resources.FailureQueuePolicy.Properties.PolicyDocument.Statement.push(sendByRule('FailureQueue'));
}

// The buffer gets the uploads, from S3 or from the rule, and the function its messages.
function fillBuffer(resources, filters, isRule) {
  if (isRule) {
    Object.assign(resources.UploadRule.Properties.Targets[0], { Id: 'buffer', Arn: arnOf('BufferQueue') });
    delete resources.UploadRulePermission;
    const { Statement: statements } = resources.BufferQueuePolicy.Properties.PolicyDocument;
    statements.splice(statements.findIndex(({ Sid }) => Sid === 'SourceBucket'), 1, sendByRule('BufferQueue'));
    return;
  }
  resources.S3BucketSource.DependsOn = ['BufferQueuePolicy']; // S3 sends a test event when it gets the notifications
  resources.S3BucketSource.Properties.NotificationConfiguration = {
    QueueConfigurations: filters.map(({ event, suffix }) => ({
      Event: event,
      ...(suffix && { Filter: { S3Key: { Rules: [{ Name: 'suffix', Value: suffix }] } } }),
      Queue: arnOf('BufferQueue'),
    })),
  };
}

function bufferEvent(maxConcurrency) {
  return {
    sqs: {
      arn: arnOf('BufferQueue'),
      batchSize: 1, // an upload never waits for another one in its batch
      functionResponseType: 'ReportBatchItemFailures', // without it, SQS would delete the messages that failed
      maximumConcurrency: Number(maxConcurrency),
    },
  };
}

function sendByRule(queue) {
  return allow({
    Sid: 'UploadRule',
    Principal: { Service: 'events.amazonaws.com' },
    Action: 'sqs:SendMessage',
    Resource: arnOf(queue),
    Condition: { ArnEquals: { 'aws:SourceArn': arnOf('UploadRule') } },
  });
}

// An existing bucket is not changed by the stack, except for the notifications of the given events.
function useExistingSource({ Resources: resources, extensions }, events, bucket) {
  delete resources.S3BucketSource;
  delete resources.SourceBucketPolicy;
  delete extensions.ResizeLambdaPermissionSourceS3;
  for (const { s3 } of events) {
    Object.assign(s3, { bucket, existing: true });
  }
  if (events.length) {
    // The helper of osls that changes the notifications could change those of any bucket, and who may invoke any function.
    const statements = [
      { Action: ['s3:PutBucketNotification', 's3:GetBucketNotification'], Resource: bucketArn(bucket) },
      { Action: ['lambda:AddPermission', 'lambda:RemovePermission'], Resource: arnOf('ResizeLambdaFunction') },
    ];
    const helper = { PolicyName: 'notifications', PolicyDocument: document(...statements.map(allow)) };
    extensions.IamRoleCustomResourcesLambdaExecution = { Properties: { Policies: [helper] } };
  }
}

function cors(origins, rule) {
  return { CorsRules: [{ ...rule, AllowedOrigins: origins.split(','), AllowedHeaders: ['*'], MaxAge: 3600 }] };
}

// The pages of corsOrigins may fetch from the distribution; pictures need no permission.
function addDistribution(resources, cdn, { cdnDomain, cdnCertificate, corsOrigins }) {
  Object.assign(resources.Resources, cdn);
  const { DistributionConfig: config } = cdn.Distribution.Properties;
  const { ResponseHeadersPolicyConfig: headers } = cdn.DistributionHeaders.Properties;
  if (cdnDomain) {
    config.Aliases = [cdnDomain];
    config.ViewerCertificate = {
      AcmCertificateArn: cdnCertificate,
      MinimumProtocolVersion: 'TLSv1.2_2021',
      SslSupportMethod: 'sni-only',
    };
  }
  if (corsOrigins) {
    headers.CorsConfig.AccessControlAllowOrigins.Items = corsOrigins.split(',');
  } else {
    delete headers.CorsConfig;
  }
  resources.Outputs.DistributionDomain = { Value: getAtt('Distribution', 'DomainName') };
  resources.Outputs.DistributionArn = { Value: DISTRIBUTION_ARN };
}

// The lists of `image-scaler plan`, in recipes/, name every source: nobody but the account reads them.
function readers(distributions, { readable, copies, hidden }, readsCopies) {
  const read = {
    Principal: { Service: 'cloudfront.amazonaws.com' },
    Action: 's3:GetObject',
    Condition: { StringEquals: { 'aws:SourceArn': distributions } },
  };
  const statements = [allow({ Sid: 'CloudFront', ...read, Resource: readsCopies ? [...readable, ...copies] : readable })];
  if (copies.length && !readsCopies) {
    // A pattern with {hash} could match the folder of a copy.
    statements.push({ Sid: 'NoCopies', Effect: 'Deny', ...read, Resource: copies });
  }
  if (hidden.length) {
    statements.push({ Sid: 'NoRecipes', Effect: 'Deny', ...read, Resource: hidden });
  }
  return statements;
}

// Only through S3.
function useKey(key, actions) {
  const condition = { StringLike: { 'kms:ViaService': sub('s3.*.${AWS::URLSuffix}') } };
  return { Action: actions, Resource: key, Condition: condition };
}

function encryption(key) {
  const byDefault = { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: key };
  return { ServerSideEncryptionConfiguration: [{ BucketKeyEnabled: true, ServerSideEncryptionByDefault: byDefault }] };
}

// `!Sub` of a text without a variable, such as the name of an existing bucket, is the text itself.
function dropNeedlessSub(node) {
  for (const [name, value] of Object.entries(node)) {
    const text = value?.['Fn::Sub'];
    if (typeof text === 'string' && !text.includes('${')) {
      node[name] = text;
    } else if (value && typeof value === 'object') {
      dropNeedlessSub(value);
    }
  }
}
