#!/usr/bin/env python3
"""Writes a synthetic Kubernetes audit log (audit.k8s.io/v1, one JSON event per line).

The mix, the key order and the escaping follow what a kube-apiserver writes:
system components reading and renewing leases make up most lines, writes with
requestObject/responseObject most bytes, and security-relevant events are rare.
The output is a function of --seed and --size alone (plus the mix options).

  audit_log.py --size 512MB --seed 1 --out audit.log --stats stats.json

--stats writes how many events of each kind were made (to check a matcher's
counts against). --attack-rate is the share of security-relevant events, and
--big-rate the share of events whose requestObject runs to 0.2-1.5 MB.
"""
import argparse
import json
import random
import sys

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_size(text):
    t = text.strip().upper().rstrip("B").rstrip("I")
    unit = t[-1] if t and t[-1] in "KMG" else ""
    return int(float(t[: len(t) - len(unit)]) * UNITS[unit])


def go_json(value):
    """JSON as Go's encoder writes it: no spaces, <, > and & escaped."""
    s = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return s.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


class Gen:
    def __init__(self, seed, attack_rate, big_rate):
        self.rng = random.Random(seed)
        self.attack_rate = attack_rate
        self.big_rate = big_rate
        self.clock = 8 * 3600.0
        self.build_pools()
        self.build_kinds()

    # ---- pools -------------------------------------------------------------
    def uuid(self):
        h = "%032x" % self.rng.getrandbits(128)
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"

    def pick(self, seq):
        return seq[int(self.rng.random() * len(seq))]

    def build_pools(self):
        r = self.rng
        self.nodes = [(f"ip-10-{r.randrange(0, 8)}-{r.randrange(256)}-{r.randrange(4, 250)}.eu-west-1.compute.internal", self.uuid(),
                       f"10.{r.randrange(0, 8)}.{r.randrange(256)}.{r.randrange(4, 250)}") for _ in range(220)]
        teams = ["payments", "checkout", "search", "catalog", "identity", "ledger", "fraud", "mobile", "edge", "data", "ml", "growth", "billing", "support", "risk"]
        envs = ["prod", "staging", "dev", "qa"]
        self.namespaces = [f"{t}-{e}" for t in teams for e in envs] + ["kube-system", "kube-public", "default", "monitoring", "logging", "ingress-nginx", "cert-manager", "argocd", "istio-system", "flux-system"]
        apps = ["api", "web", "worker", "cron", "gateway", "consumer", "scheduler", "cache", "proxy", "indexer"]
        al = "bcdfghjklmnpqrstvwxz2456789"

        def sfx(n):
            return "".join(al[int(r.random() * 27)] for _ in range(n))

        self.deploys = []
        for _ in range(600):
            ns = self.pick(self.namespaces[:60])
            self.deploys.append((ns, f"{ns.split('-')[0]}-{self.pick(apps)}", self.uuid()))
        self.pods = []
        for _ in range(5000):
            d = self.pick(self.deploys)
            rs = f"{d[1]}-{sfx(9)}"
            self.pods.append((d[0], f"{rs}-{sfx(5)}", rs, d[1], self.uuid(), self.pick(self.nodes)))
        people = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj", "olivia", "peggy", "rupert", "sybil", "trent", "victor", "walter", "yasmin"]
        self.humans = [go_json({"username": f"{p}@example.com", "groups": ["oidc:engineering", f"oidc:{self.pick(teams)}", "system:authenticated"],
                                "extra": {"authentication.kubernetes.io/credential-id": [f"X509SHA256={r.getrandbits(256):064x}"]}}) for p in people]
        self.human_ips = [f"198.51.100.{i}" for i in range(1, 90)]
        self.kube_uas = ["kubectl/v1.31.2 (linux/amd64) kubernetes/5864a46", "kubectl/v1.30.4 (darwin/arm64) kubernetes/a51b3b7", "kubectl/v1.29.6 (windows/amd64) kubernetes/062798d", "k9s/v0.32.5 (darwin/arm64) kubernetes/$Format", "Lens/2024.9.300059"]

        def sa(ns, name):
            d = {"username": f"system:serviceaccount:{ns}:{name}", "uid": self.uuid(),
                 "groups": ["system:serviceaccounts", f"system:serviceaccounts:{ns}", "system:authenticated"],
                 "extra": {"authentication.kubernetes.io/credential-id": [f"JTI={self.uuid()}"],
                           "authentication.kubernetes.io/node-name": [self.nodes[0][0]],
                           "authentication.kubernetes.io/node-uid": [self.nodes[0][1]],
                           "authentication.kubernetes.io/pod-name": [f"{name}-{sfx(9)}-{sfx(5)}"],
                           "authentication.kubernetes.io/pod-uid": [self.uuid()]}}
            return go_json(d)

        def sa_plain(name):
            return go_json({"username": f"system:serviceaccount:kube-system:{name}", "uid": self.uuid(),
                            "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
                            "extra": {"authentication.kubernetes.io/credential-id": [f"JTI={self.uuid()}"]}})

        self.kcm = [sa_plain(n) for n in ["deployment-controller", "replicaset-controller", "endpointslice-controller", "endpoint-controller", "job-controller", "node-controller", "generic-garbage-collector", "resourcequota-controller", "namespace-controller", "cronjob-controller", "daemon-set-controller", "statefulset-controller", "horizontal-pod-autoscaler"]]
        self.leaders = [("kube-system", "kube-controller-manager", go_json({"username": "system:kube-controller-manager", "groups": ["system:authenticated"]}), "kube-controller-manager/v1.31.2 (linux/amd64) kubernetes/5864a46/leader-election"),
                        ("kube-system", "kube-scheduler", go_json({"username": "system:kube-scheduler", "groups": ["system:authenticated"]}), "kube-scheduler/v1.31.2 (linux/amd64) kubernetes/5864a46/leader-election")]
        for ns, name in [("cert-manager", "cert-manager-controller"), ("argocd", "argocd-application-controller"), ("ingress-nginx", "ingress-nginx"), ("monitoring", "prometheus-operator"), ("istio-system", "istiod"), ("flux-system", "source-controller"), ("kube-system", "cluster-autoscaler"), ("kube-system", "ebs-csi-controller"), ("kube-system", "aws-load-balancer-controller"), ("logging", "fluent-operator")]:
            self.leaders.append((ns, name, sa(ns, name), f"{name}/v0.0.0 (linux/amd64) kubernetes/$Format/leader-election"))
        self.operators = [l for l in self.leaders[2:]]
        self.apps_sa = [sa(d[0], d[1]) for d in self.deploys[:120]]
        self.kubelets = [(n, go_json({"username": f"system:node:{n[0]}", "groups": ["system:nodes", "system:authenticated"],
                                      "extra": {"authentication.kubernetes.io/credential-id": [f"X509SHA256={r.getrandbits(256):064x}"]}})) for n in self.nodes]
        self.apiserver = go_json({"username": "system:apiserver", "uid": self.uuid(), "groups": ["system:authenticated", "system:masters"]})
        self.anon = go_json({"username": "system:anonymous", "groups": ["system:unauthenticated"]})
        # heavy bodies, made once and given names per event
        self.pod_bodies = [self.pod_body(n_cont) for n_cont in (1, 1, 2, 2, 3, 5) for _ in range(8)]
        self.pod_status = [self.status_body() for _ in range(32)]
        self.node_status = [self.node_status_body() for _ in range(24)]
        self.evil_cache = {}
        self.blob = "".join("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"[r.getrandbits(6)] for _ in range(1 << 16))

    def container(self, i, evil=None):
        r = self.rng
        c = {"name": f"c{i}", "image": f"registry.example.com/{self.pick(['payments', 'search', 'edge', 'ml'])}/svc:{r.randrange(1, 9)}.{r.randrange(40)}.{r.randrange(30)}@sha256:{r.getrandbits(256):064x}",
             "command": ["/bin/sh", "-c", "exec /app/server --listen=:8080 2>&1 | tee /var/log/app.log"] if r.random() < .3 else ["/app/server"],
             "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}, {"name": "metrics", "containerPort": 9090, "protocol": "TCP"}],
             "env": [{"name": f"APP_SETTING_{k}", "value": f"value-{r.randrange(10**6)} with \"quotes\" & <tags>"} for k in range(r.randrange(3, 14))] +
                    [{"name": f"SECRET_{k}", "valueFrom": {"secretKeyRef": {"name": "app-secret", "key": f"key{k}"}}} for k in range(r.randrange(0, 4))],
             "resources": {"limits": {"cpu": "2", "memory": "2Gi"}, "requests": {"cpu": "250m", "memory": "512Mi"}},
             "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}, {"name": f"kube-api-access-{r.randrange(10**5)}", "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
             "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
             "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
             "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
             "securityContext": {"capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "allowPrivilegeEscalation": False}}
        if evil == "privileged":
            c["securityContext"] = {"privileged": True}
        if evil == "caps":
            c["securityContext"] = {"capabilities": {"add": ["SYS_ADMIN", "NET_ADMIN"]}}
        return c

    def managed(self, extra):
        f = {"f:metadata": {"f:annotations": {".": {}, "f:prometheus.io/scrape": {}}, "f:generateName": {}, "f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}, "f:team": {}}, "f:ownerReferences": {".": {}, "k:{\"uid\":\"5b8d6a02-2d1e-4c4d-9a55-1f3b1d3a6c11\"}": {}}}, "f:spec": extra}
        return [{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": "2025-06-12T08:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": f}]

    def pod_body(self, n, evil=None):
        """(requestObject template, responseObject template) with @NAME@, @NS@, @RS@, @APP@, @UID@ to fill."""
        r = self.rng
        conts = [self.container(i, evil if i == 0 else None) for i in range(n)]
        spec = {"volumes": [{"name": "config", "configMap": {"name": "app-config", "defaultMode": 420}}, {"name": "kube-api-access", "projected": {"sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}, {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}], "defaultMode": 420}}],
                "containers": conts, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
                "serviceAccountName": "@APP@", "serviceAccount": "@APP@", "securityContext": {}, "schedulerName": "default-scheduler",
                "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}, {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
                "priority": 0, "enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority"}
        if evil == "hostpid":
            spec["hostPID"] = True
        if evil == "hostnetwork":
            spec["hostNetwork"] = True
        if evil == "hostpath":
            spec["volumes"].append({"name": "host", "hostPath": {"path": "/", "type": "Directory"}})
        meta = {"name": "@NAME@", "generateName": "@RS@-", "namespace": "@NS@", "creationTimestamp": None, "labels": {"app": "@APP@", "pod-template-hash": "7d9f8c6b5", "team": "core"},
                "annotations": {"prometheus.io/scrape": "true", "checksum/config": f"{r.getrandbits(256):064x}"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "@RS@", "uid": "@UID@", "controller": True, "blockOwnerDeletion": True}]}
        req = {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": spec, "status": {}}
        rmeta = dict(meta, name="@NAME@", uid="@UID@", resourceVersion="@RV@", creationTimestamp="2025-06-12T08:00:00Z",
                     managedFields=self.managed({"f:containers": {f"k:{{\"name\":\"c{i}\"}}": {".": {}, "f:env": {".": {}, **{f"k:{{\"name\":\"APP_SETTING_{k}\"}}": {".": {}, "f:name": {}, "f:value": {}} for k in range(6)}}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:ports": {".": {}}, "f:resources": {".": {}, "f:limits": {}, "f:requests": {}}} for i in range(n)}}))
        resp = {"kind": "Pod", "apiVersion": "v1", "metadata": rmeta, "spec": spec, "status": {"phase": "Pending", "qosClass": "Burstable"}}
        return go_json(req), go_json(resp)

    def deploy_body(self, body):
        pod = body[0]
        spec = pod[pod.index('"spec":') + 7: pod.index(',"status":{}')]
        head = '{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"@APP@","namespace":"@NS@","uid":"@UID@","resourceVersion":"@RV@","generation":7,"labels":{"app":"@APP@"},"annotations":{"deployment.kubernetes.io/revision":"7","kubectl.kubernetes.io/last-applied-configuration":"{\\"apiVersion\\":\\"apps/v1\\",\\"kind\\":\\"Deployment\\"}\\n"}},"spec":{"replicas":3,"selector":{"matchLabels":{"app":"@APP@"}},"template":{"metadata":{"creationTimestamp":null,"labels":{"app":"@APP@"}},"spec":'
        tail = '},"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"}},"revisionHistoryLimit":10,"progressDeadlineSeconds":600},"status":{"observedGeneration":7,"replicas":3,"updatedReplicas":3}}'
        return head + spec + tail

    def status_body(self):
        r = self.rng
        st = {"metadata": {"uid": "@UID@"}, "status": {"$setElementOrder/conditions": [{"type": t} for t in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")],
              "conditions": [{"lastTransitionTime": "2025-06-12T08:00:00Z", "message": None, "reason": None, "status": "True", "type": t} for t in ("Ready", "ContainersReady")],
              "containerStatuses": [{"containerID": f"containerd://{r.getrandbits(256):064x}", "image": "registry.example.com/core/svc:1.2.3", "imageID": f"registry.example.com/core/svc@sha256:{r.getrandbits(256):064x}", "lastState": {}, "name": f"c{i}", "ready": True, "restartCount": 0, "started": True, "state": {"running": {"startedAt": "2025-06-12T08:00:00Z"}}} for i in range(r.randrange(1, 3))],
              "hostIP": "10.0.0.1", "phase": "Running", "podIP": "10.64.3.7", "podIPs": [{"ip": "10.64.3.7"}]}}
        return go_json(st)

    def node_status_body(self):
        r = self.rng
        st = {"status": {"conditions": [{"lastHeartbeatTime": "2025-06-12T08:00:00Z", "lastTransitionTime": "2025-05-02T08:00:00Z", "message": "kubelet has sufficient memory available", "reason": "KubeletHasSufficientMemory", "status": "False", "type": t} for t in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")],
              "images": [{"names": [f"registry.example.com/core/img{r.randrange(99)}@sha256:{r.getrandbits(256):064x}", f"registry.example.com/core/img:{r.randrange(99)}"], "sizeBytes": r.randrange(10**7, 10**9)} for _ in range(r.randrange(12, 40))]}}
        return go_json(st)

    # ---- one event ---------------------------------------------------------
    def event(self, level, stage, uri, verb, user, ip, ua, ref, code, reason, req="", resp="", decision="allow", dur=0.004, extra_ann="", status=None):
        self.clock += self.tick_len
        t = self.clock
        h = int(t) // 3600 % 24
        day = 12 + int(t) // 86400
        base = f"2025-06-{day:02d}T{h:02d}:{int(t) // 60 % 60:02d}:{int(t) % 60:02d}.{int(t % 1 * 1e6):06d}Z"
        t2 = t + dur * (0.5 + self.rng.random())
        h = int(t2) // 3600 % 24
        end = f"2025-06-{day:02d}T{h:02d}:{int(t2) // 60 % 60:02d}:{int(t2) % 60:02d}.{int(t2 % 1 * 1e6):06d}Z"
        x = "%032x" % self.rng.getrandbits(128)
        aid = f"{x[:8]}-{x[8:12]}-4{x[13:16]}-b{x[17:20]}-{x[20:]}"
        st = status if status is not None else '{"metadata":{},"code":%d}' % code
        parts = [f'{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"{level}","auditID":"{aid}","stage":"{stage}","requestURI":"{uri}","verb":"{verb}","user":{user},"sourceIPs":["{ip}"],"userAgent":"{ua}"']
        if ref:
            parts.append(f',"objectRef":{ref}')
        if stage != "RequestReceived":
            parts.append(f',"responseStatus":{st}')
        if req:
            parts.append(f',"requestObject":{req}')
        if resp:
            parts.append(f',"responseObject":{resp}')
        parts.append(f',"requestReceivedTimestamp":"{base}","stageTimestamp":"{end}"')
        if decision:
            parts.append(f',"annotations":{{"authorization.k8s.io/decision":"{decision}","authorization.k8s.io/reason":"{reason}"{extra_ann}}}')
        parts.append("}\n")
        return "".join(parts)

    # ---- kinds of event ----------------------------------------------------
    RB = 'RBAC: allowed by ClusterRoleBinding \\"%s\\" of ClusterRole \\"%s\\" to %s'

    def build_kinds(self):
        k = []

        def add(weight, name):
            k.append((weight, name, getattr(self, "k_" + name)))
        # reads by system components: about 60 %
        for w, n in ((9, "kubelet_node_get"), (16, "watch"), (10, "kubelet_configmap"), (5, "kubelet_lease_get"), (9, "leader_get"), (6, "list_component"), (3, "discovery"), (2, "kubelet_sa_token"), (2, "operator_get_secret")):
            add(w, n)
        # updates and patches: about 25 %
        for w, n in ((9, "kubelet_lease"), (9, "leader_update"), (2.2, "pod_status_patch"), (0.8, "node_status_patch"), (1.6, "endpointslice_update"), (1.2, "deploy_status"), (1.2, "rs_status")):
            add(w, n)
        # creates and deletes, events, reviews
        for w, n in ((3.2, "event_create"), (2.4, "tokenreview"), (3.2, "sar"), (0.55, "pod_create"), (0.35, "pod_delete"), (0.25, "deploy_patch"), (0.5, "binding_create"), (2.2, "human_read"), (0.6, "human_list"), (0.5, "not_found"), (0.3, "conflict")):
            add(w, n)
        self.kinds = k
        total = sum(w for w, _, _ in k)
        cum, acc = [], 0.0
        for w, n, f in k:
            acc += w / total
            cum.append(acc)
        self.cum = cum
        # a lookup table of 4096 slots beats bisect
        self.slots = []
        j = 0
        for i in range(4096):
            while (i + 0.5) / 4096 > cum[j]:
                j += 1
            self.slots.append(j)
        self.attacks = [(n, getattr(self, "a_" + n)) for n in (
            "exec_post", "exec_post", "exec_post", "exec_ws", "attach", "portforward", "secret_get", "secret_list", "privileged_pod", "hostpid_pod", "hostnetwork_pod", "hostpath_pod", "caps_pod",
            "clusterrolebinding", "rolebinding_anon", "clusterrole_wildcard", "anon_read", "anon_denied", "denied", "denied", "denied", "sa_token_create", "ephemeral", "node_proxy", "impersonate", "csr_approve", "webhook_create", "audit_ds", "cronjob_create", "nodeport_service", "coredns_patch", "events_delete", "selfsubject")]

    def kubelet(self):
        return self.kubelets[int(self.rng.random() * len(self.kubelets))]

    def k_kubelet_node_get(self):
        n, u = self.kubelet()
        return self.event("Metadata", "ResponseComplete", f"/api/v1/nodes/{n[0]}?resourceVersion=0\\u0026timeout=10s", "get", u, n[2], "kubelet/v1.31.2 (linux/amd64) kubernetes/5864a46", f'{{"resource":"nodes","name":"{n[0]}","apiVersion":"v1"}}', 200, "")

    WATCHES = [("pods", "", "v1"), ("services", "", "v1"), ("configmaps", "", "v1"), ("secrets", "", "v1"), ("nodes", "", "v1"), ("endpointslices", "discovery.k8s.io", "v1"), ("runtimeclasses", "node.k8s.io", "v1"), ("csidrivers", "storage.k8s.io", "v1"), ("deployments", "apps", "v1"), ("replicasets", "apps", "v1"), ("ingresses", "networking.k8s.io", "v1"), ("certificates", "cert-manager.io", "v1"), ("applications", "argoproj.io", "v1alpha1"), ("horizontalpodautoscalers", "autoscaling", "v2")]

    def k_watch(self):
        r = self.rng
        res, grp, ver = self.pick(self.WATCHES)
        stage = "ResponseStarted" if r.random() < .5 else "ResponseComplete"
        secs = 300 + int(r.random() * 299)
        path = f"/apis/{grp}/{ver}" if grp else f"/api/{ver}"
        rv = 200000000 + int(r.random() * 9999999)
        st = '{"metadata":{},"status":"Success","message":"Connection closed early","code":200}' if stage == "ResponseComplete" and r.random() < .2 else None
        g = f',"apiGroup":"{grp}"' if grp else ""
        if res in ("pods", "nodes", "services", "configmaps", "secrets", "csidrivers", "runtimeclasses") and r.random() < .7:
            n, u = self.kubelet()
            ip, ua, reason = n[2], "kubelet/v1.31.2 (linux/amd64) kubernetes/5864a46", ""
            if res == "pods":
                q = f"fieldSelector=spec.nodeName%3D{n[0]}\\u0026"
            else:
                q = ""
        else:
            o = self.pick(self.operators)
            u, ip, ua = o[2], self.pick(self.nodes)[2], f"{o[1]}/v0.0.0 (linux/amd64) kubernetes/$Format"
            q, reason = "", self.RB % (o[1], o[1], f'ServiceAccount \\"{o[1]}/{o[0]}\\"')
        return self.event("Metadata", stage, f"{path}/{res}?allowWatchBookmarks=true\\u0026{q}resourceVersion={rv}\\u0026timeout={secs // 60}m{secs % 60}s\\u0026timeoutSeconds={secs}\\u0026watch=true", "watch", u, ip, ua, f'{{"resource":"{res}"{g},"apiVersion":"{ver}"}}', 200, reason, dur=0.002, status=st)

    def k_kubelet_configmap(self):
        r = self.rng
        n, u = self.kubelet()
        p = self.pick(self.pods)
        return self.event("Metadata", "ResponseStarted" if r.random() < .5 else "ResponseComplete", f"/api/v1/namespaces/{p[0]}/configmaps?allowWatchBookmarks=true\\u0026fieldSelector=metadata.name%3Dkube-root-ca.crt\\u0026resourceVersion={200000000 + int(r.random() * 9999999)}\\u0026timeout=7m13s\\u0026timeoutSeconds=433\\u0026watch=true", "watch", u, n[2], "kubelet/v1.31.2 (linux/amd64) kubernetes/5864a46", f'{{"resource":"configmaps","namespace":"{p[0]}","name":"kube-root-ca.crt","apiVersion":"v1"}}', 200, "")

    def k_kubelet_lease_get(self):
        n, u = self.kubelet()
        return self.event("Metadata", "ResponseComplete", f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{n[0]}?timeout=10s", "get", u, n[2], "kubelet/v1.31.2 (linux/amd64) kubernetes/5864a46", f'{{"resource":"leases","namespace":"kube-node-lease","name":"{n[0]}","apiGroup":"coordination.k8s.io","apiVersion":"v1"}}', 200, "")

    def k_kubelet_lease(self):
        n, u = self.kubelet()
        return self.event("Metadata", "ResponseComplete", f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{n[0]}?timeout=10s", "update", u, n[2], "kubelet/v1.31.2 (linux/amd64) kubernetes/5864a46", f'{{"resource":"leases","namespace":"kube-node-lease","name":"{n[0]}","uid":"{n[1]}","apiGroup":"coordination.k8s.io","apiVersion":"v1","resourceVersion":"{200000000 + int(self.rng.random() * 9999999)}"}}', 200, "")

    def leader(self, verb):
        l = self.pick(self.leaders)
        rv = f',"resourceVersion":"{200000000 + int(self.rng.random() * 9999999)}"' if verb == "update" else ""
        return self.event("Metadata", "ResponseComplete", f"/apis/coordination.k8s.io/v1/namespaces/{l[0]}/leases/{l[1]}?timeout=5s", verb, l[2], self.pick(self.nodes)[2], l[3], f'{{"resource":"leases","namespace":"{l[0]}","name":"{l[1]}","apiGroup":"coordination.k8s.io","apiVersion":"v1"{rv}}}', 200, self.RB % (l[1], l[1], f'ServiceAccount \\"{l[1]}/{l[0]}\\"'))

    def k_leader_get(self):
        return self.leader("get")

    def k_leader_update(self):
        return self.leader("update")

    def k_list_component(self):
        o = self.pick(self.operators)
        res, grp, ver = self.pick(self.WATCHES)
        path = f"/apis/{grp}/{ver}" if grp else f"/api/{ver}"
        g = f',"apiGroup":"{grp}"' if grp else ""
        ns = self.pick(self.namespaces)
        return self.event("Metadata", "ResponseComplete", f"{path}/namespaces/{ns}/{res}?limit=500\\u0026resourceVersion=0", "list", o[2], self.pick(self.nodes)[2], f"{o[1]}/v0.0.0 (linux/amd64) kubernetes/$Format", f'{{"resource":"{res}","namespace":"{ns}"{g},"apiVersion":"{ver}"}}', 200, self.RB % (o[1], o[1], f'ServiceAccount \\"{o[1]}/{o[0]}\\"'))

    def k_discovery(self):
        o = self.pick(self.operators)
        uri = self.pick(["/apis?timeout=32s", "/api?timeout=32s", "/apis/apps/v1?timeout=32s", "/openapi/v3", "/readyz", "/version", "/apis/metrics.k8s.io/v1beta1"])
        return self.event("Metadata", "ResponseComplete", uri, "get", o[2], self.pick(self.nodes)[2], f"{o[1]}/v0.0.0 (linux/amd64) kubernetes/$Format", "", 200, self.RB % ("system:discovery", "system:discovery", 'Group \\"system:authenticated\\"'))

    def k_kubelet_sa_token(self):
        n, u = self.kubelet()
        p = self.pick(self.pods)
        return self.event("Metadata", "ResponseComplete", f"/api/v1/namespaces/{p[0]}/serviceaccounts/{p[3]}/token", "create", u, n[2], "kubelet/v1.31.2 (linux/amd64) kubernetes/5864a46", f'{{"resource":"serviceaccounts","namespace":"{p[0]}","name":"{p[3]}","apiVersion":"v1","subresource":"token"}}', 201, "", extra_ann=f',"authentication.kubernetes.io/issued-credential-id":"JTI={p[4]}"')

    def k_operator_get_secret(self):
        o = self.pick(self.operators)
        ns = self.pick(self.namespaces)
        return self.event("Metadata", "ResponseComplete", f"/api/v1/namespaces/{ns}/secrets/app-tls", "get", o[2], self.pick(self.nodes)[2], f"{o[1]}/v0.0.0 (linux/amd64) kubernetes/$Format", f'{{"resource":"secrets","namespace":"{ns}","name":"app-tls","apiVersion":"v1"}}', 200, self.RB % (o[1], o[1], f'ServiceAccount \\"{o[1]}/{o[0]}\\"'))

    def fill(self, body, p):
        return body.replace("@NAME@", p[1]).replace("@NS@", p[0]).replace("@RS@", p[2]).replace("@APP@", p[3]).replace("@UID@", p[4]).replace("@RV@", str(200000000 + int(self.rng.random() * 9999999)))

    def k_pod_status_patch(self):
        p = self.pick(self.pods)
        n = p[5]
        u = self.kubelet()[1]
        return self.event("Request", "ResponseComplete", f"/api/v1/namespaces/{p[0]}/pods/{p[1]}/status", "patch", u, n[2], "kubelet/v1.31.2 (linux/amd64) kubernetes/5864a46", f'{{"resource":"pods","namespace":"{p[0]}","name":"{p[1]}","apiVersion":"v1","subresource":"status"}}', 200, "", req=self.fill(self.pick(self.pod_status), p), extra_ann=',"pod-security.kubernetes.io/enforce-policy":"privileged:latest"')

    def k_node_status_patch(self):
        n, u = self.kubelet()
        return self.event("Request", "ResponseComplete", f"/api/v1/nodes/{n[0]}/status?timeout=10s", "patch", u, n[2], "kubelet/v1.31.2 (linux/amd64) kubernetes/5864a46", f'{{"resource":"nodes","name":"{n[0]}","apiVersion":"v1","subresource":"status"}}', 200, "", req=self.pick(self.node_status))

    def k_endpointslice_update(self):
        p = self.pick(self.pods)
        return self.event("Metadata", "ResponseComplete", f"/apis/discovery.k8s.io/v1/namespaces/{p[0]}/endpointslices/{p[3]}-x7k2p", "update", self.kcm[2], "10.0.0.10", "kube-controller-manager/v1.31.2 (linux/amd64) kubernetes/5864a46/system:serviceaccount:kube-system:endpointslice-controller", f'{{"resource":"endpointslices","namespace":"{p[0]}","name":"{p[3]}-x7k2p","uid":"{p[4]}","apiGroup":"discovery.k8s.io","apiVersion":"v1","resourceVersion":"{200000000 + int(self.rng.random() * 9999999)}"}}', 200, self.RB % ("system:controller:endpointslice-controller", "system:controller:endpointslice-controller", 'ServiceAccount \\"endpointslice-controller/kube-system\\"'))

    def status_update(self, res, user, ctl):
        p = self.pick(self.pods)
        body = self.fill(self.deploy_tpl[int(self.rng.random() * len(self.deploy_tpl))], p)
        if res == "replicasets":
            body = body.replace('"kind":"Deployment"', '"kind":"ReplicaSet"', 1)
        name = p[3] if res == "deployments" else p[2]
        return self.event("RequestResponse", "ResponseComplete", f"/apis/apps/v1/namespaces/{p[0]}/{res}/{name}/status", "update", user, "10.0.0.10", f"kube-controller-manager/v1.31.2 (linux/amd64) kubernetes/5864a46/system:serviceaccount:kube-system:{ctl}", f'{{"resource":"{res}","namespace":"{p[0]}","name":"{name}","uid":"{p[4]}","apiGroup":"apps","apiVersion":"v1","resourceVersion":"{200000000 + int(self.rng.random() * 9999999)}","subresource":"status"}}', 200, self.RB % (f"system:controller:{ctl}", f"system:controller:{ctl}", f'ServiceAccount \\"{ctl}/kube-system\\"'), req=body, resp=body if self.rng.random() < .2 else "")

    def k_deploy_status(self):
        return self.status_update("deployments", self.kcm[0], "deployment-controller")

    def k_rs_status(self):
        return self.status_update("replicasets", self.kcm[1], "replicaset-controller")

    def k_event_create(self):
        n, u = self.kubelet()
        p = self.pick(self.pods)
        return self.event("Metadata", "ResponseComplete", f"/api/v1/namespaces/{p[0]}/events", "create", u, n[2], "kubelet/v1.31.2 (linux/amd64) kubernetes/5864a46", f'{{"resource":"events","namespace":"{p[0]}","name":"{p[1]}.18{self.rng.getrandbits(56):014x}","apiVersion":"v1"}}', 201, "")

    def k_tokenreview(self):
        n, u = self.kubelet()
        return self.event("Metadata", "ResponseComplete", "/apis/authentication.k8s.io/v1/tokenreviews", "create", u, n[2], "kubelet/v1.31.2 (linux/amd64) kubernetes/5864a46", '{"resource":"tokenreviews","apiGroup":"authentication.k8s.io","apiVersion":"v1"}', 201, "")

    def k_sar(self):
        o = self.pick(self.operators)
        req = '{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","metadata":{"creationTimestamp":null},"spec":{"nonResourceAttributes":{"path":"/metrics","verb":"get"},"user":"system:serviceaccount:monitoring:prometheus-k8s","groups":["system:serviceaccounts","system:serviceaccounts:monitoring","system:authenticated"]},"status":{"allowed":false}}'
        return self.event("RequestResponse", "ResponseComplete", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "create", o[2], self.pick(self.nodes)[2], f"{o[1]}/v0.0.0 (linux/amd64) kubernetes/$Format", '{"resource":"subjectaccessreviews","apiGroup":"authorization.k8s.io","apiVersion":"v1"}', 201, self.RB % (o[1], "system:auth-delegator", f'ServiceAccount \\"{o[1]}/{o[0]}\\"'), req=req, resp=req.replace('"allowed":false', '"allowed":true,"reason":"RBAC: allowed by ClusterRoleBinding \\"prometheus-k8s\\" of ClusterRole \\"prometheus-k8s\\" to ServiceAccount \\"prometheus-k8s/monitoring\\""'))

    def pod_write(self, bodies, user, ip, ua, kind):
        p = self.pick(self.pods)
        b = self.pick(bodies)
        return self.event("RequestResponse", "ResponseComplete", f"/api/v1/namespaces/{p[0]}/pods", "create", user, ip, ua, f'{{"resource":"pods","namespace":"{p[0]}","name":"{p[1]}","apiVersion":"v1"}}', 201, self.RB % (kind, kind, f'User \\"{kind}\\"'), req=self.fill(b[0], p), resp=self.fill(b[1], p), dur=.02, extra_ann=',"pod-security.kubernetes.io/enforce-policy":"privileged:latest"')

    def k_pod_create(self):
        return self.pod_write(self.pod_bodies, self.kcm[1], "10.0.0.10", "kube-controller-manager/v1.31.2 (linux/amd64) kubernetes/5864a46/system:serviceaccount:kube-system:replicaset-controller", "system:controller:replicaset-controller")

    def k_pod_delete(self):
        p = self.pick(self.pods)
        b = self.pick(self.pod_bodies)
        n, u = self.kubelet()
        return self.event("RequestResponse", "ResponseComplete", f"/api/v1/namespaces/{p[0]}/pods/{p[1]}", "delete", u, n[2], "kubelet/v1.31.2 (linux/amd64) kubernetes/5864a46", f'{{"resource":"pods","namespace":"{p[0]}","name":"{p[1]}","apiVersion":"v1"}}', 200, "", req='{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0,"preconditions":{"uid":"%s"}}' % p[4], resp=self.fill(b[1], p))

    def k_deploy_patch(self):
        p = self.pick(self.pods)
        u = self.pick(self.humans)
        body = self.fill(self.pick(self.deploy_tpl), p)
        return self.event("RequestResponse", "ResponseComplete", f"/apis/apps/v1/namespaces/{p[0]}/deployments/{p[3]}?fieldManager=kubectl-client-side-apply\\u0026fieldValidation=Strict", "patch", u, self.pick(self.human_ips), self.pick(self.kube_uas), f'{{"resource":"deployments","namespace":"{p[0]}","name":"{p[3]}","apiGroup":"apps","apiVersion":"v1"}}', 200, self.RB % ("engineering-edit", "edit", 'Group \\"oidc:engineering\\"'), req=body, resp=body)

    def k_binding_create(self):
        p = self.pick(self.pods)
        return self.event("Metadata", "ResponseComplete", f"/api/v1/namespaces/{p[0]}/pods/{p[1]}/binding", "create", self.leaders[1][2], "10.0.0.10", "kube-scheduler/v1.31.2 (linux/amd64) kubernetes/5864a46/scheduler", f'{{"resource":"pods","namespace":"{p[0]}","name":"{p[1]}","uid":"{p[4]}","apiVersion":"v1","subresource":"binding"}}', 201, self.RB % ("system:kube-scheduler", "system:kube-scheduler", 'User \\"system:kube-scheduler\\"'))

    def human(self, verb, uri, ref, code=200, reason=None, decision="allow", **kw):
        return self.event(kw.pop("level", "Metadata"), kw.pop("stage", "ResponseComplete"), uri, verb, kw.pop("user", None) or self.pick(self.humans), kw.pop("ip", None) or self.pick(self.human_ips), kw.pop("ua", None) or self.pick(self.kube_uas), ref, code, reason if reason is not None else self.RB % ("engineering-edit", "edit", 'Group \\"oidc:engineering\\"'), decision=decision, **kw)

    def k_human_read(self):
        p = self.pick(self.pods)
        sub = self.pick(["", "", "log"])
        return self.human("get", f"/api/v1/namespaces/{p[0]}/pods/{p[1]}" + (f"/{sub}?container=c0\\u0026tailLines=200" if sub else ""), f'{{"resource":"pods","namespace":"{p[0]}","name":"{p[1]}","apiVersion":"v1"' + (f',"subresource":"{sub}"' if sub else "") + "}")

    def k_human_list(self):
        ns = self.pick(self.namespaces)
        return self.human("list", f"/api/v1/namespaces/{ns}/pods?limit=500", f'{{"resource":"pods","namespace":"{ns}","apiVersion":"v1"}}')

    def k_not_found(self):
        ns = self.pick(self.namespaces)
        st = '{"metadata":{},"status":"Failure","message":"configmaps \\"feature-flags\\" not found","reason":"NotFound","details":{"name":"feature-flags","kind":"configmaps"},"code":404}'
        return self.event("Metadata", "ResponseComplete", f"/api/v1/namespaces/{ns}/configmaps/feature-flags", "get", self.pick(self.apps_sa), self.pick(self.nodes)[2], "Go-http-client/2.0", f'{{"resource":"configmaps","namespace":"{ns}","name":"feature-flags","apiVersion":"v1"}}', 404, self.RB % ("app", "view", 'Group \\"system:serviceaccounts\\"'), status=st)

    def k_conflict(self):
        l = self.pick(self.leaders)
        st = '{"metadata":{},"status":"Failure","message":"Operation cannot be fulfilled on leases.coordination.k8s.io \\"%s\\": the object has been modified; please apply your changes to the latest version and try again","reason":"Conflict","details":{"name":"%s","group":"coordination.k8s.io","kind":"leases"},"code":409}' % (l[1], l[1])
        return self.event("Metadata", "ResponseComplete", f"/apis/coordination.k8s.io/v1/namespaces/{l[0]}/leases/{l[1]}", "update", l[2], self.pick(self.nodes)[2], l[3], f'{{"resource":"leases","namespace":"{l[0]}","name":"{l[1]}","apiGroup":"coordination.k8s.io","apiVersion":"v1"}}', 409, self.RB % (l[1], l[1], f'ServiceAccount \\"{l[1]}/{l[0]}\\"'), status=st)

    # ---- the rare, security-relevant ones -----------------------------------
    def podsub(self, verb, sub, query, code):
        p = self.pick(self.pods)
        return self.human(verb, f"/api/v1/namespaces/{p[0]}/pods/{p[1]}/{sub}{query}", f'{{"resource":"pods","namespace":"{p[0]}","name":"{p[1]}","apiVersion":"v1","subresource":"{sub}"}}', code, stage="ResponseStarted" if self.rng.random() < .5 else "ResponseComplete")

    def a_exec_post(self):
        return self.podsub("create", "exec", "?command=%2Fbin%2Fsh\\u0026container=c0\\u0026stdin=true\\u0026stdout=true\\u0026tty=true", 101)

    def a_exec_ws(self):
        return self.podsub("get", "exec", "?command=%2Fbin%2Fbash\\u0026container=c0\\u0026stdin=true\\u0026stdout=true\\u0026tty=true", 101)

    def a_attach(self):
        return self.podsub("create", "attach", "?container=c0\\u0026stdin=true\\u0026stdout=true\\u0026tty=true", 101)

    def a_portforward(self):
        return self.podsub("create", "portforward", "", 101)

    def a_secret_get(self):
        ns = self.pick(self.namespaces)
        return self.human("get", f"/api/v1/namespaces/{ns}/secrets/db-credentials", f'{{"resource":"secrets","namespace":"{ns}","name":"db-credentials","apiVersion":"v1"}}')

    def a_secret_list(self):
        return self.human("list", "/api/v1/secrets?limit=500", '{"resource":"secrets","apiVersion":"v1"}')

    def evil_pod(self, evil):
        if evil not in self.evil_cache:
            self.evil_cache[evil] = [self.pod_body(1, evil) for _ in range(4)]
        return self.pod_write(self.evil_cache[evil], self.pick(self.humans), self.pick(self.human_ips), self.pick(self.kube_uas), "engineering-edit")

    def a_privileged_pod(self):
        return self.evil_pod("privileged")

    def a_hostpid_pod(self):
        return self.evil_pod("hostpid")

    def a_hostnetwork_pod(self):
        return self.evil_pod("hostnetwork")

    def a_hostpath_pod(self):
        return self.evil_pod("hostpath")

    def a_caps_pod(self):
        return self.evil_pod("caps")

    def rbac_write(self, res, name, body, ns=None):
        nsp = f"/namespaces/{ns}" if ns else ""
        nsr = f'"namespace":"{ns}",' if ns else ""
        return self.human("create", f"/apis/rbac.authorization.k8s.io/v1{nsp}/{res}?fieldManager=kubectl-create", f'{{"resource":"{res}",{nsr}"name":"{name}","apiGroup":"rbac.authorization.k8s.io","apiVersion":"v1"}}', 201, level="RequestResponse", req=go_json(body), resp=go_json(body))

    def a_clusterrolebinding(self):
        return self.rbac_write("clusterrolebindings", "backdoor", {"kind": "ClusterRoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "backdoor", "creationTimestamp": None}, "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}], "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}})

    def a_rolebinding_anon(self):
        ns = self.pick(self.namespaces)
        return self.rbac_write("rolebindings", "open", {"kind": "RoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "open", "namespace": ns, "creationTimestamp": None}, "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "system:anonymous"}], "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}}, ns)

    def a_clusterrole_wildcard(self):
        return self.rbac_write("clusterroles", "helper", {"kind": "ClusterRole", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "helper", "creationTimestamp": None}, "rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]})

    def a_anon_read(self):
        return self.human("get", "/api/v1/namespaces/default/pods/web-0", '{"resource":"pods","namespace":"default","name":"web-0","apiVersion":"v1"}', user=self.anon, ip="203.0.113.66", ua="curl/8.5.0", reason=self.RB % ("open", "view", 'Group \\"system:unauthenticated\\"'))

    def a_anon_denied(self):
        st = '{"metadata":{},"status":"Failure","message":"secrets is forbidden: User \\"system:anonymous\\" cannot list resource \\"secrets\\" in API group \\"\\" at the cluster scope","reason":"Forbidden","details":{"kind":"secrets"},"code":403}'
        return self.human("list", "/api/v1/secrets", '{"resource":"secrets","apiVersion":"v1"}', 403, user=self.anon, ip="203.0.113.66", ua="python-requests/2.32.3", reason="", decision="forbid", status=st)

    def a_denied(self):
        ns = self.pick(self.namespaces)
        res, verb = self.pick([("secrets", "list"), ("pods", "create"), ("nodes", "list"), ("clusterroles", "create"), ("configmaps", "get")])
        st = '{"metadata":{},"status":"Failure","message":"%s is forbidden: User \\"system:serviceaccount:%s:default\\" cannot %s resource \\"%s\\" in API group \\"\\" in the namespace \\"%s\\"","reason":"Forbidden","details":{"kind":"%s"},"code":403}' % (res, ns, verb, res, ns, res)
        return self.human(verb, f"/api/v1/namespaces/{ns}/{res}", f'{{"resource":"{res}","namespace":"{ns}","apiVersion":"v1"}}', 403, user=self.pick(self.apps_sa), ip=self.pick(self.nodes)[2], ua="kubectl/v1.31.2 (linux/amd64) kubernetes/5864a46", reason="", decision="forbid", status=st)

    def a_sa_token_create(self):
        ns = self.pick(self.namespaces)
        return self.human("create", f"/api/v1/namespaces/{ns}/serviceaccounts/admin/token", f'{{"resource":"serviceaccounts","namespace":"{ns}","name":"admin","apiVersion":"v1","subresource":"token"}}', 201)

    def a_ephemeral(self):
        p = self.pick(self.pods)
        return self.human("patch", f"/api/v1/namespaces/{p[0]}/pods/{p[1]}/ephemeralcontainers", f'{{"resource":"pods","namespace":"{p[0]}","name":"{p[1]}","apiVersion":"v1","subresource":"ephemeralcontainers"}}', level="RequestResponse", req='{"spec":{"ephemeralContainers":[{"image":"nicolaka/netshoot","name":"debugger-x2v","stdin":true,"tty":true,"targetContainerName":"c0"}]}}')

    def a_node_proxy(self):
        n = self.pick(self.nodes)
        return self.human("get", f"/api/v1/nodes/{n[0]}/proxy/runningpods/", f'{{"resource":"nodes","name":"{n[0]}","apiVersion":"v1","subresource":"proxy"}}')

    def a_impersonate(self):
        imp = '{"username":"ops@example.com","groups":["oidc:ops","system:authenticated"]},"impersonatedUser":{"username":"system:admin","groups":["system:masters","system:authenticated"]}'
        return self.human("list", "/api/v1/nodes?limit=500", '{"resource":"nodes","apiVersion":"v1"}', user=imp)

    def a_csr_approve(self):
        return self.human("update", "/apis/certificates.k8s.io/v1/certificatesigningrequests/node-csr-x/approval", '{"resource":"certificatesigningrequests","name":"node-csr-x","apiGroup":"certificates.k8s.io","apiVersion":"v1","subresource":"approval"}')

    def a_webhook_create(self):
        return self.human("create", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", '{"resource":"mutatingwebhookconfigurations","name":"inject","apiGroup":"admissionregistration.k8s.io","apiVersion":"v1"}', 201, level="RequestResponse", req='{"kind":"MutatingWebhookConfiguration","apiVersion":"admissionregistration.k8s.io/v1","metadata":{"name":"inject"},"webhooks":[{"name":"inject.example.com","clientConfig":{"url":"https://203.0.113.66/m"},"rules":[{"apiGroups":["*"],"apiVersions":["*"],"resources":["pods"],"operations":["CREATE"]}]}]}')

    def a_audit_ds(self):
        p = self.pick(self.pods)
        body = self.fill(self.pick(self.deploy_tpl), p).replace('"kind":"Deployment"', '"kind":"DaemonSet"', 1)
        return self.human("create", f"/apis/apps/v1/namespaces/{p[0]}/daemonsets", f'{{"resource":"daemonsets","namespace":"{p[0]}","name":"{p[3]}","apiGroup":"apps","apiVersion":"v1"}}', 201, level="RequestResponse", req=body, resp=body)

    def a_cronjob_create(self):
        ns = self.pick(self.namespaces)
        return self.human("create", f"/apis/batch/v1/namespaces/{ns}/cronjobs", f'{{"resource":"cronjobs","namespace":"{ns}","name":"backup","apiGroup":"batch","apiVersion":"v1"}}', 201)

    def a_nodeport_service(self):
        ns = self.pick(self.namespaces)
        return self.human("create", f"/api/v1/namespaces/{ns}/services", f'{{"resource":"services","namespace":"{ns}","name":"expose","apiVersion":"v1"}}', 201, level="RequestResponse", req='{"kind":"Service","apiVersion":"v1","metadata":{"name":"expose","creationTimestamp":null},"spec":{"ports":[{"port":22,"targetPort":22,"nodePort":30022}],"selector":{"app":"x"},"type":"NodePort"},"status":{"loadBalancer":{}}}')

    def a_coredns_patch(self):
        return self.human("patch", "/api/v1/namespaces/kube-system/configmaps/coredns", '{"resource":"configmaps","namespace":"kube-system","name":"coredns","apiVersion":"v1"}')

    def a_events_delete(self):
        ns = self.pick(self.namespaces)
        return self.human("deletecollection", f"/api/v1/namespaces/{ns}/events", f'{{"resource":"events","namespace":"{ns}","apiVersion":"v1"}}')

    def a_selfsubject(self):
        return self.human("create", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", '{"resource":"selfsubjectrulesreviews","apiGroup":"authorization.k8s.io","apiVersion":"v1"}', 201, user=self.pick(self.apps_sa))

    def big(self):
        n = int(200e3 + self.rng.random() * 1.3e6)
        data = (self.blob * (n // len(self.blob) + 1))[:n]
        ns = self.pick(self.namespaces)
        return self.human("update", f"/api/v1/namespaces/{ns}/configmaps/dashboards", f'{{"resource":"configmaps","namespace":"{ns}","name":"dashboards","apiVersion":"v1"}}', level="Request", req='{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"dashboards","namespace":"%s"},"data":{"dashboard.json":"%s"}}' % (ns, data))

    def run(self, size, write, events_per_second=400.0):
        self.tick_len = 1.0 / events_per_second
        self.deploy_tpl = [self.deploy_body(b) for b in self.pod_bodies]
        rnd = self.rng.random
        kinds, slots, attacks = self.kinds, self.slots, self.attacks
        tally = [0] * len(kinds)
        a_tally = [0] * len(attacks)
        n_big = events = total = 0
        ar, br = self.attack_rate, self.attack_rate + self.big_rate
        buf, held = [], 0
        while total < size:
            x = rnd()
            if x >= br:
                j = slots[int(rnd() * 4096)]
                line = kinds[j][2]()
                tally[j] += 1
            elif x < ar:
                j = int(rnd() * len(attacks))
                line = attacks[j][1]()
                a_tally[j] += 1
            else:
                line = self.big()
                n_big += 1
            buf.append(line)
            held += len(line)
            total += len(line)
            events += 1
            if held > 4 << 20:
                write("".join(buf).encode())
                buf, held = [], 0
        write("".join(buf).encode())
        at = {}
        for (n, _), c in zip(attacks, a_tally):
            at[n] = at.get(n, 0) + c
        return {"bytes": total, "events": events, "mean_bytes": round(total / events, 1), "big": n_big, "kinds": {k[1]: c for k, c in zip(kinds, tally)}, "security": at}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--size", default="512MB", help="stop after the first event at or past this many bytes (K, M, G; default 512MB)")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--out", default="-", help="file to write (default: standard output)")
    ap.add_argument("--stats", help="also write the counts as JSON to this file")
    ap.add_argument("--attack-rate", type=float, default=0.0007, help="share of security-relevant events (default 0.0007)")
    ap.add_argument("--big-rate", type=float, default=0.00003, help="share of events of 0.2-1.5 MB (default 0.00003)")
    ap.add_argument("--events-per-second", type=float, default=400.0, help="how fast the log's own clock runs")
    a = ap.parse_args()
    out = sys.stdout.buffer if a.out == "-" else open(a.out, "wb", buffering=0)
    stats = Gen(a.seed, a.attack_rate, a.big_rate).run(parse_size(a.size), out.write, a.events_per_second)
    if a.stats:
        with open(a.stats, "w") as f:
            json.dump(stats, f, indent=1)
            f.write("\n")
    print(f"{stats['events']} events, {stats['bytes']} bytes, mean {stats['mean_bytes']}", file=sys.stderr)


if __name__ == "__main__":
    main()
