"""How a pipeline gets into a cluster of each vendor without a key that lives long, as rows of data. Pure.

`github` are the steps of a workflow; `script` does the same anywhere else, with a token of the forge's own in $AIC_ID_TOKEN (OIDC), which
the vendor changes for a credential of an hour. `{alias}`, `{named}`, `{context_name}` and `{rename}` give the context the name that the
target uses; $AIC_CI is a folder of the run's. Where a vendor offers nothing of the kind, or we know of nothing, a kubeconfig that the forge
keeps as a secret is all there is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from aiculturekit.forges import actions


@dataclasses.dataclass(frozen=True, slots=True)
class Cloud:
    """`variables` are to be set in the forge, none of them secret; `audience` is whom the token is for; `source` says how the vendor is
    told to trust the forge. `registry` is an ending of registry hosts that the same login opens, for `user` and what `command` prints."""

    variables: tuple[str, ...]
    github: str
    script: str
    source: str
    audience: str = ""
    registry: str = ""
    user: str = ""
    command: str = ""


EKS = Cloud(
    variables=("AWS_ROLE_ARN", "AWS_REGION", "EKS_CLUSTER"),
    audience="sts.amazonaws.com",
    github=f"""\
- name: Log in to AWS
  uses: {actions.AWS}
  with:
    role-to-assume: ${{{{ vars.AWS_ROLE_ARN }}}}
    aws-region: ${{{{ vars.AWS_REGION }}}}
- name: Find the cluster
  env:
    EKS_CLUSTER: ${{{{ vars.EKS_CLUSTER }}}}
  run: aws eks update-kubeconfig --name "$EKS_CLUSTER"{{alias}}
""",
    script="""\
python -m pip install --quiet awscli
printf '%s' "$AIC_ID_TOKEN" >"$AIC_CI/id-token"
export AWS_WEB_IDENTITY_TOKEN_FILE="$AIC_CI/id-token" AWS_ROLE_SESSION_NAME=aic
aws eks update-kubeconfig --name "$EKS_CLUSTER" --region "$AWS_REGION"{alias}
""",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html",
    registry=".amazonaws.com",
    user="AWS",
    command='aws ecr get-login-password --region "$AWS_REGION"',
)
GKE = Cloud(
    variables=("GCP_WORKLOAD_IDENTITY_PROVIDER", "GCP_SERVICE_ACCOUNT", "GCP_PROJECT", "GKE_CLUSTER", "GKE_LOCATION"),
    audience="https://iam.googleapis.com/${GCP_WORKLOAD_IDENTITY_PROVIDER}",
    github=f"""\
- name: Log in to Google Cloud
  uses: {actions.GOOGLE}
  with:
    workload_identity_provider: ${{{{ vars.GCP_WORKLOAD_IDENTITY_PROVIDER }}}}
    service_account: ${{{{ vars.GCP_SERVICE_ACCOUNT }}}}
    project_id: ${{{{ vars.GCP_PROJECT }}}}
- name: Find the cluster
  uses: {actions.GKE}
  with:
    cluster_name: ${{{{ vars.GKE_CLUSTER }}}}
    location: ${{{{ vars.GKE_LOCATION }}}}
    project_id: ${{{{ vars.GCP_PROJECT }}}}{{context_name}}
""",
    script="""\
curl -fsSL https://dl.google.com/dl/cloudsdk/channels/rapid/google-cloud-sdk.tar.gz | tar -xz -C "$AIC_CI"
export PATH="$AIC_CI/google-cloud-sdk/bin:$PATH"
gcloud components install --quiet gke-gcloud-auth-plugin kubectl
printf '%s' "$AIC_ID_TOKEN" >"$AIC_CI/id-token"
gcloud iam workload-identity-pools create-cred-config "$GCP_WORKLOAD_IDENTITY_PROVIDER" --service-account="$GCP_SERVICE_ACCOUNT" \\
  --credential-source-file="$AIC_CI/id-token" --output-file="$AIC_CI/google.json"
gcloud auth login --quiet --cred-file="$AIC_CI/google.json"
gcloud container clusters get-credentials "$GKE_CLUSTER" --location "$GKE_LOCATION" --project "$GCP_PROJECT"
{rename}""",
    source="https://cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines",
    registry=".pkg.dev",
    user="oauth2accesstoken",
    command="gcloud auth print-access-token",
)
AKS = Cloud(
    variables=("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID", "AKS_RESOURCE_GROUP", "AKS_CLUSTER"),
    audience="api://AzureADTokenExchange",
    github=f"""\
- name: Log in to Azure
  uses: {actions.AZURE}
  with:
    client-id: ${{{{ vars.AZURE_CLIENT_ID }}}}
    tenant-id: ${{{{ vars.AZURE_TENANT_ID }}}}
    subscription-id: ${{{{ vars.AZURE_SUBSCRIPTION_ID }}}}
- name: Find the cluster
  env:
    AKS_RESOURCE_GROUP: ${{{{ vars.AKS_RESOURCE_GROUP }}}}
    AKS_CLUSTER: ${{{{ vars.AKS_CLUSTER }}}}
  run: |
    az aks install-cli --install-location "$AIC_CI/kubectl" --kubelogin-install-location "$AIC_CI/kubelogin"
    echo "$AIC_CI" >>"$GITHUB_PATH"
    az aks get-credentials --resource-group "$AKS_RESOURCE_GROUP" --name "$AKS_CLUSTER" --overwrite-existing --file "$KUBECONFIG"{{named}}
    "$AIC_CI/kubelogin" convert-kubeconfig -l azurecli
""",
    script="""\
python -m pip install --quiet azure-cli
az login --service-principal -u "$AZURE_CLIENT_ID" -t "$AZURE_TENANT_ID" --federated-token "$AIC_ID_TOKEN" --output none
az account set --subscription "$AZURE_SUBSCRIPTION_ID"
az aks install-cli --install-location "$AIC_CI/kubectl" --kubelogin-install-location "$AIC_CI/kubelogin"
export PATH="$AIC_CI:$PATH"
az aks get-credentials --resource-group "$AKS_RESOURCE_GROUP" --name "$AKS_CLUSTER" --overwrite-existing --file "$KUBECONFIG"{named}
kubelogin convert-kubeconfig -l azurecli
""",
    source="https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust",
    registry=".azurecr.io",
    user="00000000-0000-0000-0000-000000000000",
    command='az acr login --name "{name}" --expose-token --query accessToken --output tsv',
)
_ALIYUN = """\
curl -fsSL https://aliyuncli.alicdn.com/aliyun-cli-linux-latest-amd64.tgz | tar -xz -C "$AIC_CI"
aliyun() { "$AIC_CI/aliyun" --region "$ALIBABA_CLOUD_REGION_ID" "$@"; }
aliyun cs DescribeClusterUserKubeconfig --ClusterId "$ACK_CLUSTER" --TemporaryDurationMinutes 120 |
  python -c 'import json, sys; print(json.load(sys.stdin)["config"])' >"$KUBECONFIG"
chmod 600 "$KUBECONFIG"
"""
ACK = Cloud(
    variables=("ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "ALIBABA_CLOUD_REGION_ID", "ACK_CLUSTER"),
    audience="sts.aliyuncs.com",
    github=f"""\
- name: Log in to Alibaba Cloud
  uses: {actions.ALIBABA}
  with:
    role-to-assume: ${{{{ vars.ALIBABA_CLOUD_ROLE_ARN }}}}
    oidc-provider-arn: ${{{{ vars.ALIBABA_CLOUD_OIDC_PROVIDER_ARN }}}}
- name: Find the cluster
  env:
    ALIBABA_CLOUD_REGION_ID: ${{{{ vars.ALIBABA_CLOUD_REGION_ID }}}}
    ACK_CLUSTER: ${{{{ vars.ACK_CLUSTER }}}}
  run: |
"""
    + "".join(f"    {line}\n" for line in _ALIYUN.splitlines())
    + "    {rename}",
    script="""\
curl -fsS "https://sts.aliyuncs.com/?Action=AssumeRoleWithOIDC&Version=2015-04-01&Format=JSON&SignatureNonce=$(date +%s%N)" \\
  --data-urlencode "Timestamp=$(date -u +%Y-%m-%dT%H:%M:%SZ)" --data-urlencode "RoleArn=$ALIBABA_CLOUD_ROLE_ARN" \\
  --data-urlencode "OIDCProviderArn=$ALIBABA_CLOUD_OIDC_PROVIDER_ARN" --data-urlencode "OIDCToken=$AIC_ID_TOKEN" \\
  --data-urlencode RoleSessionName=aic >"$AIC_CI/sts.json"
sts() { python -c 'import json, sys; print(json.load(open(sys.argv[1]))["Credentials"][sys.argv[2]])' "$AIC_CI/sts.json" "$1"; }
ALIBABA_CLOUD_ACCESS_KEY_ID=$(sts AccessKeyId) ALIBABA_CLOUD_ACCESS_KEY_SECRET=$(sts AccessKeySecret)
ALIBABA_CLOUD_SECURITY_TOKEN=$(sts SecurityToken)
export ALIBABA_CLOUD_ACCESS_KEY_ID ALIBABA_CLOUD_ACCESS_KEY_SECRET ALIBABA_CLOUD_SECURITY_TOKEN
"""
    + _ALIYUN
    + "{rename}",
    source="https://help.aliyun.com/zh/ram/user-guide/overview-of-oidc-based-sso",
)
_TENCENT = """\
python -m pip install --quiet tccli
tccli sts AssumeRoleWithWebIdentity --region "$TENCENTCLOUD_REGION" --ProviderId "$TENCENTCLOUD_OIDC_PROVIDER" \\
  --RoleArn "$TENCENTCLOUD_ROLE_ARN" --WebIdentityToken "$AIC_ID_TOKEN" --RoleSessionName aic --DurationSeconds 3600 >"$AIC_CI/sts.json"
sts() { python -c 'import json, sys; print(json.load(open(sys.argv[1]))["Credentials"][sys.argv[2]])' "$AIC_CI/sts.json" "$1"; }
TENCENTCLOUD_SECRET_ID=$(sts TmpSecretId) TENCENTCLOUD_SECRET_KEY=$(sts TmpSecretKey) TENCENTCLOUD_TOKEN=$(sts Token)
export TENCENTCLOUD_SECRET_ID TENCENTCLOUD_SECRET_KEY TENCENTCLOUD_TOKEN
tccli tke DescribeClusterKubeconfig --region "$TENCENTCLOUD_REGION" --ClusterId "$TKE_CLUSTER" --IsExtranet true |
  python -c 'import json, sys; print(json.load(sys.stdin)["Kubeconfig"])' >"$KUBECONFIG"
chmod 600 "$KUBECONFIG"
"""
_TKE = ("TENCENTCLOUD_ROLE_ARN", "TENCENTCLOUD_OIDC_PROVIDER", "TENCENTCLOUD_REGION", "TKE_CLUSTER")
TKE = Cloud(
    variables=_TKE,
    audience="sts.tencentcloudapi.com",
    github="- name: Log in to Tencent Cloud and find the cluster\n  env:\n"
    + "".join(f"    {name}: ${{{{ vars.{name} }}}}\n" for name in _TKE)
    + """\
  run: |
    AIC_ID_TOKEN=$(curl -fsS -H "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \\
      "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=sts.tencentcloudapi.com" | python -c 'import json, sys; print(json.load(sys.stdin)["value"])')
    echo "::add-mask::$AIC_ID_TOKEN"
"""
    + "".join(f"    {line}\n" for line in _TENCENT.splitlines())
    + "    {rename}",
    script=_TENCENT + "{rename}",
    source="https://cloud.tencent.com/document/product/598/73070",
)
KEPT = Cloud(
    variables=(),
    github="""\
- name: The kubeconfig, a secret of this environment
  env:
    CONTENT: ${{ secrets.AIC_KUBECONFIG }}
  run: |
    printf '%s' "$CONTENT" >"$KUBECONFIG"
    chmod 600 "$KUBECONFIG"
""",
    script="""\
printf '%s' "$AIC_KUBECONFIG" >"$KUBECONFIG"
chmod 600 "$KUBECONFIG"
""",
    source="https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/",
)

CLOUDS: Mapping[str, Cloud] = MappingProxyType({"eks": EKS, "gke": GKE, "aks": AKS, "ack": ACK, "tke": TKE})


def cloud(flavor: str) -> Cloud:
    """Of a target's flavor."""
    return CLOUDS.get(flavor, KEPT)


def filled(template: str, *, context: str) -> str:
    """The template for a context; for the current one, `""`, nothing is renamed."""
    rename = f'kubectl config rename-context "$(kubectl config current-context)" "{context}"'
    blanks = {
        "{alias}": f' --alias "{context}"',
        "{named}": f' --context "{context}"',
        "{context_name}": f'\n    context_name: "{context}"',
        "{rename}": f"{rename}\n",
    }
    for blank, text in blanks.items():
        template = template.replace(blank, text if context else "")
    return template.rstrip() + "\n"
