import Basics
import Foundation
import FoundationNetworking
import Link
import NIOHTTP1
import Testing

@testable import Connector

@Suite(.enabled(if: DockerScene.isWanted), .timeLimit(.minutes(3)))
struct DockerRuntimeTests {
  @Test("a container is prepared, started, stopped and removed, each act twice, and nothing is left")
  func lifecycle() async throws {
    try await DockerScene.with { scene in
      let runtime = scene.runtime()
      let spec = try scene.spec()
      let absent = try await runtime.inspect(spec.instance)
      #expect(absent == RunState(phase: .absent))
      let (_, started) = try await scene.startRinging(runtime, spec)
      let port = try #require(started.port)
      #expect(started.phase == .running && started.containerID != nil && started.startedAt != nil)
      #expect(started.imageDigest?.hasPrefix("sha256:") == true)
      let again = try await runtime.start(spec.instance)
      #expect(again == started)
      let probe = try #require(URL(string: "http://127.0.0.1:\(port)/healthz"))
      let health = try await URLSession.shared.data(from: probe).0
      #expect(String(decoding: health, as: UTF8.self).contains("live"))
      let known = try await runtime.instances()
      #expect(known == [spec.instance])
      let lines = try await runtime.logs(spec.instance, lines: 5)
      #expect(lines == ["start with token <secret>"])

      let stopped = try await runtime.stop(spec.instance)
      #expect(stopped.phase == .stopped && stopped.containerID == started.containerID)
      let stoppedAgain = try await runtime.stop(spec.instance)
      #expect(stoppedAgain == stopped)

      let removed = try await runtime.remove(spec.instance, purge: false)
      let removedAgain = try await runtime.remove(spec.instance, purge: false)
      #expect(removed.phase == .absent && removedAgain == removed)
      let directory = try #require(removed.dataDirectory)
      #expect(FileManager.default.fileExists(atPath: directory + "/state/openclaw.json"))
      let container = try await scene.exists("/containers/\(started.containerID ?? "")/json")
      let network = try await scene.exists("/networks/aw-\(spec.slug)")
      #expect(!container && !network)
      let purged = try await runtime.remove(spec.instance, purge: true)
      #expect(purged == RunState(phase: .absent))
      #expect(!FileManager.default.fileExists(atPath: directory))
    }
  }

  @Test("a container has the hardening profile of openclaw fleet")
  func hardening() async throws {
    try await DockerScene.with { scene in
      let spec = try scene.spec()
      let state = try await scene.runtime().prepare(spec, environment: scene.environment())
      let container = try await scene.container(state)
      let host = try #require(container["HostConfig"])
      #expect(host["CapDrop"] == ["ALL"])
      #expect(host["SecurityOpt"] == ["no-new-privileges"])
      #expect(host["Privileged"] == false && host["Init"] == true)
      #expect(host["PidsLimit"]?.intValue == 64)
      #expect(host["Memory"]?.intValue == 128 << 20)
      #expect(host["NanoCpus"]?.intValue == 500_000_000)
      #expect(host["RestartPolicy"]?["Name"] == "no")
      #expect(host["NetworkMode"]?.stringValue == "aw-\(spec.slug)")
      let port = try #require(state.port)
      #expect(host["PortBindings"] == ["18789/tcp": [["HostIp": "127.0.0.1", "HostPort": .string(String(port))]]])
      #expect(host["ExtraHosts"] == ["host.docker.internal:host-gateway"])
      let mounts = (container["Mounts"]?.arrayValue ?? []).compactMap { $0["Source"]?.stringValue }
      let directory = InstanceDirectory(path: try #require(state.dataDirectory))
      #expect(Set(mounts) == [directory.state, directory.keys])
      #expect(!mounts.contains { $0.contains("sock") })
      let configuration = try #require(container["Config"])
      #expect(configuration["StopTimeout"]?.intValue == 30)
      #expect(configuration["Cmd"] == ["/usr/local/bin/openclaw", "gateway"], "the image's own command")
      #expect(configuration["Image"]?.stringValue == container["Image"]?.stringValue, "made by id, not by tag")
      let labels = configuration["Labels"]
      #expect(labels?["aw.instance"]?.stringValue == spec.instance.text && labels?["aw.org"] == "acme")
      #expect(labels?["aw.spec-digest"]?.stringValue?.count == 64)
      if geteuid() == 0 { #expect(DurableFile.owner(of: directory.configuration) == DockerPlan.imageUser) }
      let network = try JSONValue(parsing: try await scene.engine.call(.GET, "/networks/aw-\(spec.slug)").expect(200))
      #expect(network["Driver"] == "bridge" && network["Labels"]?["aw.instance"]?.stringValue == spec.instance.text)
    }
  }

  @Test("preparing again keeps a fitting container, replaces a differing one, and leaves a running one")
  func idempotent() async throws {
    try await DockerScene.with { scene in
      let runtime = scene.runtime()
      var spec = try scene.spec()
      let (bell, running) = try await scene.startRinging(runtime, spec)
      spec.limits.pidsMax = 32
      let inside = ["FAKE_READY": DockerPlan.state + "/bell"]
      let prepared = try await runtime.prepare(spec, environment: scene.environment(inside))
      #expect(prepared.phase == .running && prepared.containerID == running.containerID)
      _ = try await runtime.stop(spec.instance)
      let restarted = try await runtime.start(spec.instance)
      try await bell.rung()
      #expect(restarted.containerID != running.containerID)
      let host = try await scene.container(restarted)["HostConfig"]
      #expect(host?["PidsLimit"]?.intValue == 32)
      _ = try await runtime.stop(spec.instance)
      // A new Connector finds the container by its label, whatever the record says.
      let directory = InstanceDirectory(path: try #require(restarted.dataDirectory))
      var record = try #require(try directory.load())
      record.containerID = nil
      try directory.save(record)
      let found = try await scene.runtime().prepare(spec, environment: scene.environment(inside))
      #expect(found.containerID == restarted.containerID)
    }
  }

  @Test("a container outlives its Connector; the next one adopts it, and removes it by label without a record")
  func adoption() async throws {
    try await DockerScene.with { scene in
      let spec = try scene.spec()
      let started = try await scene.startRinging(scene.runtime(), spec).started
      // Each Connector is gone before the next: two at once would undo each other's work.
      do {
        let second = scene.runtime()
        let adopted = try await second.inspect(spec.instance)
        #expect(adopted.phase == .running && adopted.containerID == started.containerID)
        try DurableFile.remove(try #require(adopted.dataDirectory) + "/instance.json")
      }
      let third = scene.runtime()
      let known = try await third.instances()
      #expect(known == [spec.instance])
      _ = try await third.remove(spec.instance, purge: true)
      let container = try await scene.exists("/containers/\(started.containerID ?? "")/json")
      let network = try await scene.exists("/networks/aw-\(spec.slug)")
      #expect(!container && !network)
    }
  }

  @Test("exit 78 is never restarted, not by the next Connector either, until somebody starts it")
  func refusal() async throws {
    try await DockerScene.with { scene in
      let runtime = scene.runtime()
      let spec = try scene.spec()
      _ = try await runtime.prepare(spec, environment: scene.environment(["FAKE_EXIT": "78"]))
      _ = try await runtime.start(spec.instance)
      let ended = try await runtime.settled(spec.instance) { $0.phase == .exited }
      #expect(ended.exitCode == 78 && ended.restarts == 0)
      let next = scene.runtime()
      let found = try await next.inspect(spec.instance)
      #expect(found == ended)
      let lines = try await next.logs(spec.instance, lines: 10)
      #expect(lines.count == 1)
    }
  }

  @Test("a crashed container is started again, and a start forgets an old refusal")
  func crash() async throws {
    try await DockerScene.with { scene in
      let runtime = scene.runtime()
      let spec = try scene.spec()
      let (bell, started) = try await scene.startRinging(runtime, spec)
      let id = try #require(started.containerID)
      try await scene.engine.call(.POST, "/containers/\(id)/kill", query: ["signal": "SIGKILL"]).expect(204)
      try await bell.rung()
      let again = try await runtime.settled(spec.instance) { $0.phase == .running && $0.restarts == 1 }
      #expect(again.containerID == id)
      let gone = try await runtime.stop(spec.instance)
      #expect(gone.phase == .stopped)
    }
  }

  @Test("a container that ignores SIGTERM is killed once the grace is over, not before")
  func deaf() async throws {
    try await DockerScene.with { scene in
      let runtime = scene.runtime(stopGrace: .milliseconds(300))
      let spec = try scene.spec()
      let (_, started) = try await scene.startRinging(runtime, spec, ["FAKE_IGNORE_TERM": "1"])
      let stopped = try await runtime.stop(spec.instance)
      #expect(stopped.phase == .stopped)
      let state = try await scene.container(started)["State"]
      #expect(state?["ExitCode"]?.intValue == 137)
    }
  }

  @Test("a device is approved inside the container; a refusal tells no secret")
  func approval() async throws {
    try await DockerScene.with { scene in
      let runtime = scene.runtime()
      let spec = try scene.spec()
      let (_, started) = try await scene.startRinging(runtime, spec)
      try await runtime.approveDevice(spec.instance, request: "r-1")
      let approved = try #require(started.dataDirectory) + "/state/approved"
      let text = try String(contentsOfFile: approved, encoding: .utf8)
      #expect(text == "r-1")
      let failure = await #expect(throws: AWError.self) {
        try await runtime.approveDevice(spec.instance, request: "unknown")
      }
      #expect(failure?.chain.contains("unknown requestId <secret>") == true)
    }
  }

  @Test("a missing image is named, and nothing is left behind")
  func imageMissing() async throws {
    try await DockerScene.with { scene in
      let runtime = scene.runtime()
      for image in ["ghcr.io/openclaw/openclaw:no-such-tag", nil] {
        let spec = try scene.spec(image: image)
        let failure = await #expect(throws: AWError.self) { try await runtime.prepare(spec, environment: [:]) }
        #expect(failure?.code == .runtimeImageMissing)
      }
      let known = try await runtime.instances()
      #expect(known == [])
    }
  }

  @Test("a port that another container took after preparing is told at the start")
  func portTaken() async throws {
    try await DockerScene.with { scene in
      let runtime = scene.runtime()
      let spec = try scene.spec()
      let prepared = try await runtime.prepare(spec, environment: scene.environment())
      // Another Connector on the same engine, with the same ports.
      let other = DockerRuntime(
        socket: scene.socket, dataDirectory: scene.folder + "/other", policy: RuntimePolicy(ports: scene.ports))
      let rival = try scene.spec("-rival", port: prepared.port)
      _ = try await other.prepare(rival, environment: scene.environment())
      _ = try await other.start(rival.instance)
      let failure = await #expect(throws: AWError.self) { try await runtime.start(spec.instance) }
      #expect(failure?.code == .runtimePortTaken)
      let state = try await runtime.inspect(spec.instance)
      #expect(state.phase == .stopped)
      _ = try await other.remove(rival.instance, purge: true)
    }
  }
}

struct DockerDecisionTests {
  @Test("without an engine the runtime is unavailable, says why, and still answers what needs none")
  func absent() async throws {
    let folder = NSTemporaryDirectory() + "aw-none-" + Hex.encode([UInt8].random(count: 6))
    let runtime = DockerRuntime(socket: folder + "/docker.sock", dataDirectory: folder)
    let availability = await runtime.availability()
    #expect(!availability.available && availability.detail.contains("docker.sock"))
    let spec = InstanceSpec(
      instance: .make(at: WallClock.system.now), slug: try Slug("a"), org: try Slug("a"), runtime: .docker, port: nil,
      image: "x:1", configuration: "{}")
    let failure = await #expect(throws: AWError.self) { try await runtime.prepare(spec, environment: [:]) }
    #expect(failure?.code == .runtimeUnavailable)
    let state = try await runtime.inspect(spec.instance)
    let known = try await runtime.instances()
    #expect(state.phase == .absent && known == [])
  }

  @Test(
    "the engine's words become codes",
    arguments: [
      ("driver failed: Bind for 127.0.0.1:19100 failed: port is already allocated", ErrorCode.runtimePortTaken),
      ("listen tcp4 127.0.0.1:19100: bind: address already in use", .runtimePortTaken),
      ("mkdir /var/lib/docker/overlay2/x: no space left on device", .runtimeDiskFull),
      ("something else", .runtimeFailed),
    ])
  func words(message: String, code: ErrorCode) {
    let error = AWError.engine(.init(status: 500, message: message), doing: "start the container", port: 19_100)
    #expect(error.code == code)
  }

  @Test("a container's state is read: running, out of memory, created, long gone")
  func states() throws {
    let running = try JSONValue(
      parsing: #"{"Id":"c","State":{"Running":true,"StartedAt":"2026-11-24T06:32:37.465730631Z"}}"#)
    let started = try #require(Timestamp("2026-11-24T06:32:37.465Z"))
    #expect(
      DockerPlan.observation(running, launch: "l")
        == .running(.init(launch: "l", containerID: "c", startedAt: started)))
    let ended = try JSONValue(
      parsing: #"{"Id":"c","State":{"Running":false,"OOMKilled":true,"ExitCode":137,"#
        + #""StartedAt":"2026-11-24T06:32:37.4Z","FinishedAt":"2026-11-24T06:32:38Z"}}"#)
    let end = try #require(Timestamp("2026-11-24T06:32:38.000Z"))
    #expect(
      DockerPlan.observation(ended, launch: nil)
        == .ended(.init(code: 137, outOfMemory: true, at: end, ranMilliseconds: 600)))
    let created = try JSONValue(
      parsing: #"{"Id":"c","State":{"Running":false,"ExitCode":0,"FinishedAt":"0001-01-01T00:00:00Z"}}"#)
    #expect(DockerPlan.observation(created, launch: nil) == .absent)
  }

  @Test("framed output is taken apart, a cut frame too")
  func frames() {
    let bytes: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 3] + Array("a\nb".utf8) + [2, 0, 0, 0, 0, 0, 0, 9] + Array("cd".utf8)
    #expect(String(decoding: DockerPlan.text(ofFrames: bytes), as: UTF8.self) == "a\nbcd")
  }

  @Test("an image without a command gets the Gateway's, a Host with few processors a lower limit")
  func plan() throws {
    let spec = InstanceSpec(
      instance: .make(at: WallClock.system.now), slug: try Slug("a"), org: try Slug("a"), runtime: .docker, port: nil,
      image: "x:1", configuration: "{}")
    let entry = InstanceShelf.Entry(
      directory: .init(path: "/d/instances/a"), record: InstanceRecord(spec: spec, port: 19_100))
    func body(_ command: Bool, _ environment: [String: Secret] = [:]) -> JSONValue {
      DockerPlan.container(
        entry, image: .init(id: "sha256:1", hasCommand: command), environment: environment, user: nil, processors: 1)
    }
    #expect(body(false)["Cmd"] == ["node", "dist/index.js", "gateway", "--bind", "lan", "--port", "18789"])
    #expect(body(true)["Cmd"] == nil && body(true)["User"] == nil)
    #expect(body(true)["HostConfig"]?["NanoCpus"]?.intValue == 1_000_000_000)
    #expect(body(true) == body(true))
    #expect(body(true)["Labels"] != body(true, ["A": Secret("b")])["Labels"])
    let mine = body(true, ["OPENCLAW_HOME": Secret("/elsewhere")])["Env"]?.arrayValue ?? []
    #expect(mine.contains("OPENCLAW_HOME=/home/node") && !mine.contains("OPENCLAW_HOME=/elsewhere"))
  }
}
