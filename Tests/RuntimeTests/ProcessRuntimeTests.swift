import Basics
import Foundation
import FoundationNetworking
import Link
import Testing

@testable import Connector

@Suite(.timeLimit(.minutes(2)))
struct ProcessRuntimeTests {
  private func code(_ body: () async throws -> Void) async throws -> ErrorCode? {
    do {
      try await body()
      return nil
    } catch let error as AWError {
      return error.code
    }
  }

  private func isAlive(_ state: RunState) -> Bool {
    guard let process = state.processID, let entry = ProcessTable.entry(process) else { return false }
    return !entry.isDead
  }

  @Test("an Instance is prepared, started, stopped and removed, each act twice")
  func lifecycle() async throws {
    try await ProcessScene.with { scene in
      let runtime = scene.runtime()
      let spec = try scene.spec()
      #expect(try await runtime.inspect(spec.instance) == RunState(phase: .absent))
      let prepared = try await runtime.prepare(spec, environment: scene.environment())
      #expect(prepared.phase == .stopped)
      #expect(try await runtime.prepare(spec, environment: scene.environment()) == prepared)
      #expect(try await runtime.instances() == [spec.instance])

      let started = try await runtime.start(spec.instance)
      try await scene.bell.rung()
      #expect(started.phase == .running && isAlive(started))
      #expect(try await runtime.start(spec.instance) == started)
      #expect(try await runtime.inspect(spec.instance) == started)
      #expect(try await runtime.prepare(spec, environment: scene.environment()).processID == started.processID)
      let port = try #require(started.port)
      let probe = try #require(URL(string: "http://127.0.0.1:\(port)/healthz"))
      let health = try await URLSession.shared.data(from: probe).0
      #expect(String(decoding: health, as: UTF8.self).contains("live"))

      let stopped = try await runtime.stop(spec.instance)
      #expect(stopped.phase == .stopped && stopped.processID == nil && stopped.port == port)
      #expect(!isAlive(started))
      #expect(try await runtime.stop(spec.instance) == stopped)
      #expect(try await runtime.logs(spec.instance, lines: 1) == ["terminated"])

      let removed = try await runtime.remove(spec.instance, purge: false)
      #expect(removed.phase == .absent && removed.dataDirectory == prepared.dataDirectory)
      #expect(try await runtime.remove(spec.instance, purge: false) == removed)
      #expect(try await runtime.instances() == [])
      let directory = InstanceDirectory(path: try #require(removed.dataDirectory))
      #expect(FileManager.default.fileExists(atPath: directory.configuration))
      #expect(!FileManager.default.fileExists(atPath: directory.environment))

      let purged = try await runtime.remove(spec.instance, purge: true)
      #expect(purged == RunState(phase: .absent))
      #expect(!FileManager.default.fileExists(atPath: directory.path))
      #expect(try await runtime.remove(spec.instance, purge: true) == purged)
    }
  }

  @Test("the directories are their owner's alone, and openclaw.json is left to whoever changed it last")
  func files() async throws {
    try await ProcessScene.with { scene in
      let runtime = scene.runtime()
      var spec = try scene.spec()
      let state = try await runtime.prepare(spec, environment: scene.environment())
      let directory = InstanceDirectory(path: try #require(state.dataDirectory))
      for (path, mode) in [
        (directory.path, 0o700), (directory.state, 0o700), (directory.keys, 0o700), (directory.environment, 0o600),
        (directory.record, 0o600), (directory.configuration, 0o600),
      ] {
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == mode, "\(path)")
      }
      let secret = scene.token.withText { $0 }
      #expect(try String(contentsOfFile: directory.environment, encoding: .utf8).contains(secret))
      #expect(try !String(contentsOfFile: directory.record, encoding: .utf8).contains(secret))

      spec.configuration = #"{"gateway":{"mode":"local","port":1}}"#
      _ = try await runtime.prepare(spec, environment: scene.environment())
      #expect(try String(contentsOfFile: directory.configuration, encoding: .utf8) == spec.configuration)
      try "{}".write(toFile: directory.configuration, atomically: true, encoding: .utf8)
      spec.configuration = #"{"gateway":{"mode":"local","port":2}}"#
      _ = try await runtime.prepare(spec, environment: scene.environment())
      #expect(try String(contentsOfFile: directory.configuration, encoding: .utf8) == "{}")
    }
  }

  @Test("an Instance outlives its Connector, and the next one adopts and stops it")
  func adoption() async throws {
    try await ProcessScene.with { scene in
      let spec = try scene.spec()
      var started = RunState(phase: .absent)
      do {
        let first = scene.runtime()
        _ = try await first.prepare(spec, environment: scene.environment())
        started = try await first.start(spec.instance)
        try await scene.bell.rung()
      }
      let second = scene.runtime()
      let adopted = try await second.inspect(spec.instance)
      #expect(adopted.phase == .running && adopted.processID == started.processID)
      #expect(try await second.start(spec.instance).processID == started.processID)
      #expect(try await second.stop(spec.instance).phase == .stopped)
      #expect(!isAlive(started))
      #expect(try await scene.runtime().inspect(spec.instance).phase == .stopped)
    }
  }

  @Test("a process that its Connector had not yet written down is found by its environment")
  func stray() async throws {
    try await ProcessScene.with { scene in
      let spec = try scene.spec()
      let state = try await scene.runtime().prepare(spec, environment: scene.environment())
      let directory = InstanceDirectory(path: try #require(state.dataDirectory))
      var record = try #require(try directory.load())
      record.desired = .running
      record.launch = .init(id: "abc", at: WallClock.system.now, boot: ProcessTable.bootID())
      try directory.save(record)
      let process = try await strayProcess(scene, directory, record, launch: "abc")

      let next = scene.runtime()
      let adopted = try await next.inspect(spec.instance)
      #expect(adopted.phase == .running && adopted.processID == process)
      // Not our child: its end is noticed all the same, and what ran it is told apart from what ran before.
      kill(process, SIGKILL)
      try await scene.bell.rung()
      let again = try await next.settled(spec.instance) { $0.phase == .running && $0.processID != process }
      #expect(again.restarts == 1)
    }
  }

  @Test("a process of a forgotten start is ended before the next start")
  func forgotten() async throws {
    try await ProcessScene.with { scene in
      let spec = try scene.spec()
      let runtime = scene.runtime()
      let state = try await runtime.prepare(spec, environment: scene.environment(["FAKE_IGNORE_TERM": "1"]))
      let directory = InstanceDirectory(path: try #require(state.dataDirectory))
      var record = try #require(try directory.load())
      // On another port, or the start would rightly say that the port is taken.
      record.port += 1
      let process = try await strayProcess(scene, directory, record, launch: "older")
      let started = try await runtime.start(spec.instance)
      #expect(started.processID != process)
      #expect(ProcessTable.entry(process).map(\.isDead) ?? true)
      try await scene.bell.rung()
    }
  }

  /// Starts the fake as a stranger's child, the way a killed Connector leaves one.
  private func strayProcess(
    _ scene: ProcessScene, _ directory: InstanceDirectory, _ record: InstanceRecord, launch: String
  ) async throws -> Int32 {
    let setsid = try #require(Tool.find("setsid", path: nil))
    var environment = scene.environment([
      "AW_INSTANCE_ID": record.spec.instance.text, "AW_INSTANCE_LAUNCH": launch,
      "AW_INSTANCE_DIRECTORY": directory.path, "OPENCLAW_GATEWAY_PORT": String(record.port),
      "OPENCLAW_STATE_DIR": directory.state, "OPENCLAW_CONFIG_PATH": directory.configuration,
    ])
    for name in ["HOME", "NO_RESPAWN", "SUPERVISOR_MODE", "DISABLE_BONJOUR", "NO_AUTO_UPDATE"] {
      environment["OPENCLAW_" + name] = Secret("1")
    }
    // The shell gives the output away, so that the tool's own pipes are closed.
    let command = #"exec "$@" >/dev/null 2>&1 </dev/null"#
    let answer = try await Tool.run(
      "/bin/sh",
      [
        "-c", command, "sh", setsid, "--fork", scene.program, "gateway", "--port", "\(record.port)", "--bind",
        "loopback",
      ],
      environment: environment, timeMax: .seconds(20))
    try #require(answer.code == 0)
    try await scene.bell.rung()
    let found = ProcessTable.all().filter {
      ProcessTable.environment($0.id)?["AW_INSTANCE_LAUNCH"] == launch && $0.session == $0.id
        && ProcessTable.environment($0.id)?["AW_INSTANCE_ID"] == record.spec.instance.text
    }
    return try #require(found.first).id
  }

  @Test("exit 78 is never restarted, not by the next Connector either, until somebody starts it")
  func refusal() async throws {
    try await ProcessScene.with { scene in
      let spec = try scene.spec()
      let runtime = scene.runtime()
      _ = try await runtime.prepare(spec, environment: scene.environment(["FAKE_EXIT": "78"]))
      _ = try await runtime.start(spec.instance)
      let ended = try await runtime.settled(spec.instance) { $0.phase == .exited }
      #expect(ended.exitCode == 78 && ended.restarts == 0)
      let next = scene.runtime()
      #expect(try await next.inspect(spec.instance) == ended)
      #expect(try await next.logs(spec.instance, lines: 10).count == 1)
      _ = try await next.prepare(spec, environment: scene.environment())
      #expect(try await next.start(spec.instance).phase == .running)
      try await scene.bell.rung()
    }
  }

  @Test("a crashed Instance is started again")
  func crash() async throws {
    try await ProcessScene.with { scene in
      let spec = try scene.spec()
      let runtime = scene.runtime()
      _ = try await runtime.prepare(spec, environment: scene.environment())
      let first = try #require(try await runtime.start(spec.instance).processID)
      try await scene.bell.rung()
      kill(first, SIGKILL)
      try await scene.bell.rung()
      let again = try await runtime.settled(spec.instance) { $0.phase == .running && $0.processID != first }
      #expect(again.restarts == 1)
      #expect(ProcessTable.entry(first) == nil, "no zombie is left")
    }
  }

  @Test("while a crashed Instance waits for its restart, its exit code shows, and stop wins")
  func stopWins() async throws {
    try await ProcessScene.with { scene in
      let spec = try scene.spec()
      let runtime = scene.runtime(backoffFirst: .seconds(3_600))
      _ = try await runtime.prepare(spec, environment: scene.environment(["FAKE_EXIT": "3"]))
      _ = try await runtime.start(spec.instance)
      let waiting = try await runtime.settled(spec.instance) { $0.phase == .exited }
      #expect(waiting.exitCode == 3)
      #expect(try await runtime.stop(spec.instance).phase == .stopped)
      #expect(try await scene.runtime().inspect(spec.instance).phase == .stopped)
    }
  }

  @Test("an Instance that ignores SIGTERM is killed with its children once the grace is over")
  func deaf() async throws {
    try await ProcessScene.with { scene in
      let spec = try scene.spec()
      let runtime = scene.runtime(stopGrace: .milliseconds(50))
      let deaf = scene.environment(["FAKE_IGNORE_TERM": "1", "FAKE_CHILD": "1"])
      let state = try await runtime.prepare(spec, environment: deaf)
      _ = try await runtime.start(spec.instance)
      try await scene.bell.rung()
      let directory = InstanceDirectory(path: try #require(state.dataDirectory))
      let child = try #require(Int32(String(contentsOfFile: directory.state + "/child", encoding: .utf8)))
      #expect(ProcessTable.entry(child).map { !$0.isDead } == true)
      #expect(try await runtime.stop(spec.instance).phase == .stopped)
      #expect(ProcessTable.entry(child).map(\.isDead) ?? true)
    }
  }

  @Test("the secret is in the Instance's environment, in nobody's arguments, and blotted out of its output")
  func secrets() async throws {
    try await ProcessScene.with { scene in
      let spec = try scene.spec()
      let runtime = scene.runtime()
      _ = try await runtime.prepare(spec, environment: scene.environment())
      let process = try #require(try await runtime.start(spec.instance).processID)
      try await scene.bell.rung()
      let secret = scene.token.withText { $0 }
      #expect(ProcessTable.environment(process)?["OPENCLAW_GATEWAY_TOKEN"] == secret)
      for entry in ProcessTable.all() {
        let arguments = FileManager.default.contents(atPath: "/proc/\(entry.id)/cmdline") ?? Data()
        #expect(!String(decoding: arguments, as: UTF8.self).contains(secret))
      }
      #expect(try await runtime.logs(spec.instance, lines: 10).first == "start with token <secret>")
    }
  }

  @Test("a device is approved inside the Instance; a refusal tells no secret")
  func approval() async throws {
    try await ProcessScene.with { scene in
      let spec = try scene.spec()
      let runtime = scene.runtime()
      let state = try await runtime.prepare(spec, environment: scene.environment())
      #expect(try await code { try await runtime.approveDevice(spec.instance, request: "r-1") } == .runtimeExited)
      _ = try await runtime.start(spec.instance)
      try await scene.bell.rung()
      try await runtime.approveDevice(spec.instance, request: "r-1")
      let approved = try #require(state.dataDirectory) + "/state/approved"
      #expect(try String(contentsOfFile: approved, encoding: .utf8) == "r-1")
      #expect(try await code { try await runtime.approveDevice(spec.instance, request: "--all") } == .usage)
      let failure = await #expect(throws: AWError.self) {
        try await runtime.approveDevice(spec.instance, request: "unknown")
      }
      #expect(failure?.chain.contains("unknown requestId <secret>") == true)
    }
  }
}
