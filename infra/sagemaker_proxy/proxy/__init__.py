"""The HTTPS front of a SageMaker endpoint: the same routes and errors as the Lambda deployment.

request → forward (SageMaker answers) or jobs (S3 and an asynchronous endpoint) → answer. It needs
boto3 and nothing else, which the Lambda runtime has.
"""
