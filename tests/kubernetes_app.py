"""The Kubernetes YAML of the stranger's service that the targets' contract brings in."""

from tandem.targets.kubernetes.objects import File

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: digits
spec:
  replicas: 1
  progressDeadlineSeconds: 120
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 100%}}
  selector: {matchLabels: {app: digits}}
  template:
    metadata: {labels: {app: digits}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 5
      containers:
        - name: app
          image: digits
          ports: [{containerPort: 8000}]
          readinessProbe: # patient: on a busy machine an app may not answer for some seconds, and is ready still
            {httpGet: {path: /readyz, port: 8000}, timeoutSeconds: 10, failureThreshold: 10, periodSeconds: 1}
          resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 128Mi}}
          lifecycle: {preStop: {sleep: {seconds: 3}}}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: digits}
spec:
  type: LoadBalancer
  selector: {app: digits}
  ports: [{port: 80, targetPort: 8000}]
"""


def app_files(deployment: str = DEPLOYMENT, *more: str) -> list[File]:
    """The files of the app's folder."""
    texts = {"deployment.yaml": deployment, "service.yaml": SERVICE}
    texts |= {f"more-{number}.yaml": text for number, text in enumerate(more)}
    return [File(f"deployments/digits/kubernetes/{name}", text.encode()) for name, text in texts.items()]
