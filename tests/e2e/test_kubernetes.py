"""The recipe in conf/kubernetes: the API knows every field of it, the configuration in it is one, and what
the parts say of each other holds."""

import json
import os
import subprocess

import bridled
from bridled import TestCase
from peers import PEERS, needs

KUBECHECK = os.path.join(PEERS, "kubecheck")
RECIPE = os.path.join(bridled.TOP, "conf", "kubernetes", "sidecar.yaml")


def seconds(text):
    return int(text.removesuffix("s"))


@needs(KUBECHECK)
class Recipe(TestCase):
    def setUp(self):
        super().setUp()
        done = subprocess.run([KUBECHECK, RECIPE], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=bridled.STOP_SECONDS, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.objects = {object["kind"]: object for object in json.loads(done.stdout)}
        self.pod = self.objects["Deployment"]["spec"]["template"]["spec"]
        self.sidecar, = self.pod["initContainers"]
        self.application, = self.pod["containers"]
        self.config = self.path("bridled.yaml")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(self.objects["ConfigMap"]["data"]["bridled.yaml"])

    def value_of(self, key):
        """What bridled makes of the configuration."""
        dumped = subprocess.run([bridled.BINARY, "-T", "-c", self.config], stdout=subprocess.PIPE,
                                text=True, timeout=bridled.STOP_SECONDS, check=True).stdout
        inside = ""
        for line in dumped.split("\n"):
            words = line.split("#")[0].strip()
            if line and not line.startswith((" ", "-")):
                inside = words.rstrip(":")
            elif inside + "." + words.partition(":")[0] == key:
                return words.partition(":")[2].strip().strip('"')
        raise AssertionError("no %s in %s" % (key, dumped))

    def test_an_unknown_field_is_an_error(self):
        broken = self.path("broken.yaml")
        with open(RECIPE, encoding="utf-8") as file, open(broken, "w", encoding="utf-8") as copy:
            copy.write(file.read().replace("startupProbe:", "startProbe:"))
        done = subprocess.run([KUBECHECK, broken], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=bridled.STOP_SECONDS, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('unknown field "startProbe"', done.stderr)

    def test_its_configuration_is_good_without_a_warning(self):
        done = subprocess.run([bridled.BINARY, "-t", "-W", "-c", self.config],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=bridled.STOP_SECONDS, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_it_is_a_sidecar_that_is_asked_where_it_answers(self):
        self.assertEqual(self.sidecar["restartPolicy"], "Always")
        ports = {port["name"]: port["containerPort"] for port in self.sidecar["ports"]}
        self.assertEqual(self.value_of("admin.http"), "0.0.0.0:%d" % ports["admin"])
        paths = {probe: self.sidecar[probe]["httpGet"]["path"]
                 for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
        self.assertEqual(paths, {"startupProbe": "/readyz", "readinessProbe": "/readyz",
                                 "livenessProbe": "/livez"})
        for probe in paths:
            self.assertEqual(self.sidecar[probe]["httpGet"]["port"], "admin")
        service_port, = self.objects["Service"]["spec"]["ports"]
        self.assertEqual(ports[service_port["targetPort"]], 8888)
        self.assertEqual(self.objects["Service"]["spec"]["selector"],
                         self.objects["Deployment"]["spec"]["template"]["metadata"]["labels"])

    def test_there_is_time_to_end(self):
        waits = self.application["lifecycle"]["preStop"]["sleep"]["seconds"]
        leaves = 5 + seconds(self.value_of("shutdown.deregister_wait")) + seconds(
            self.value_of("shutdown.drain"))
        self.assertGreater(waits, seconds(self.value_of("shutdown.deregister_wait")))
        self.assertLess(waits + leaves, self.pod["terminationGracePeriodSeconds"])

    def test_files_and_sockets_are_on_volumes_that_both_see(self):
        volumes = {volume["name"] for volume in self.pod["volumes"]}
        for container in (self.sidecar, self.application):
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            self.assertLessEqual(set(mounts.values()), volumes)
            self.assertIn("/run/bridled", mounts)
            self.assertTrue(container["securityContext"]["readOnlyRootFilesystem"])
            self.assertFalse(container["securityContext"]["allowPrivilegeEscalation"])
            self.assertEqual(container["securityContext"]["capabilities"], {"drop": ["ALL"]})
        self.assertIn({"name": "RUNTIME_DIRECTORY", "value": "/run/bridled"}, self.sidecar["env"])
        with open(self.config, encoding="utf-8") as file:
            text = file.read()
        for variable in self.application["env"]:
            self.assertIn(variable["value"], text)
