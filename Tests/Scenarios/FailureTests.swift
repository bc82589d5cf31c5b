import Basics
import Client
import Deployment
import Fleet
import Foundation
import Link
import Store
import Testing
import Work

/// What goes wrong around AW, as an operator meets it: an explanation, a code, and nothing half-made.
@Suite("Faults and bad input, at the command line", .serialized, .timeLimit(.minutes(5)))
struct FailureTests {
  private static func expect(
    _ answer: Programs.Answer, _ code: ErrorCode, exit: Int32, _ location: SourceLocation = #_sourceLocation
  ) {
    #expect(answer.code == exit, "\(answer)", sourceLocation: location)
    #expect(answer.complaint.contains("[\(code.id)]"), "\(answer)", sourceLocation: location)
  }

  @Test("a context file that is missing, damaged, of a newer AW, or of a control plane that is gone")
  func contexts() async throws {
    let folder = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/context.json"
    Self.expect(try await Programs.run(["status", "--context", path]), .contextMissing, exit: 2)
    for text in ["{", #"{"version":2,"url":"http://127.0.0.1:1"}"#, #"{"version":1,"url":"not a url"}"#] {
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      Self.expect(try await Programs.run(["status", "--context", path]), .contextCorrupt, exit: 2)
    }
    try #"{"version":1,"url":"http://127.0.0.1:1"}"#.write(toFile: path, atomically: true, encoding: .utf8)
    let environment = ["AW_CONTEXT": path]
    Self.expect(try await Programs.run(["status"], environment: environment), .controlPlaneUnreachable, exit: 1)
    let doctor = try await Programs.run(["doctor", "--context", path, "--json"])
    #expect(doctor.code == 1)
    #expect(doctor.json?.arrayValue?.contains { $0["what"] == "control plane" && $0["verdict"] == "wrong" } == true)
  }

  @Test(
    "usage that is wrong ends with 2 and says what was meant",
    arguments: [
      ["instance", "create", "x"], ["instance", "rm"], ["nothing"], ["up", "--runtime", "vm"],
      ["serve", "--listen", "nowhere"], ["org", "create", "Bad_Slug", "--context", "/nonexistent"],
      ["evidence", "verify", "/", "--key", "nonsense"],
    ])
  func usage(_ arguments: [String]) async throws {
    let answer = try await Programs.run(arguments)
    #expect(answer.code == 2, "\(answer)")
    #expect(!answer.complaint.isEmpty && answer.output.isEmpty)
  }

  @Test(
    "help and version are for reading: exit code 0",
    arguments: [["--help"], ["instance", "rm", "--help"], ["--version"]])
  func help(_ arguments: [String]) async throws {
    let answer = try await Programs.run(arguments)
    #expect(answer.code == 0 && !answer.output.isEmpty && answer.complaint.isEmpty)
  }

  @Test("shells complete the verbs", arguments: ["bash", "zsh", "fish"])
  func completion(_ shell: String) async throws {
    let answer = try await Programs.run(["--generate-completion-script", shell])
    #expect(answer.code == 0 && answer.output.contains("evidence"))
  }

  @Test("a data directory and a port belong to one control plane; a locked database and a damaged vault are named")
  func inUse() async throws {
    try await Deployed.with { deployed in
      let again = [
        "serve", "--data", deployed.controlData, "--listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0",
      ]
      Self.expect(try await Programs.run(again), .dataInUse, exit: 1)
      Self.expect(try await Programs.run(["connect", "--data", deployed.hostData]), .dataInUse, exit: 1)
      let console = try #require(URL(string: deployed.client.shown)?.port)
      let elsewhere = ["serve", "--data", deployed.folder + "/other", "--gateway-listen", "127.0.0.1:0", "--listen"]
      Self.expect(try await Programs.run(elsewhere + ["127.0.0.1:\(console)"]), .portTaken, exit: 1)
      // Taken ports leave nothing running, and the directory free for the next try.
      #expect(ProcessLook.naming(deployed.folder + "/other").isEmpty)
    }
    let folder = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let serve = ["serve", "--data", folder, "--listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0", "--json"]
    try await LongRunning.with(try Programs.aw(), serve) { control in
      _ = try await control.document()
      try await control.end(SIGTERM)
    }
    let holder = try await Store.openWithoutMigrations(.sqlite(path: folder + "/aw.sqlite"))
    let (held, holding) = AsyncStream<Void>.makeStream()
    let release = DispatchSemaphore(value: 0)
    let writing = Task {
      try await holder.write { tx in
        try tx.run("DELETE FROM deployment_setting WHERE name = 'nothing'")
        holding.yield()
        release.wait()
      }
    }
    for await _ in held { break }
    let plainly = serve.filter { $0 != "--json" }
    Self.expect(try await Programs.run(plainly), .storeLocked, exit: 1)
    release.signal()
    try await writing.value
    await holder.close()
    try Data("not a vault".utf8).write(to: URL(filePath: folder + "/vault"))
    Self.expect(try await Programs.run(plainly), .vaultUnreadable, exit: 1)
    #expect(try String(contentsOfFile: folder + "/vault", encoding: .utf8) == "not a vault", "never written over")
  }

  @Test("an enrolment ticket that is none, unknown or used; a line pasted twice on the same machine")
  func tickets() async throws {
    try await Deployed.with { deployed in
      let invited = try await deployed.client.send(
        .post, "/hosts", body: ["slug": "second"], as: InvitationView.self)
      let words = invited.line.split(separator: " ").map(String.init)
      let (ticket, gateway) = (words[1], try #require(words.last))
      func connect(_ ticket: String, _ directory: String) async throws -> Programs.Answer {
        try await Programs.run(
          ["connect", "--enrol", gateway, "--data", deployed.folder + "/" + directory], input: ticket + "\n")
      }
      Self.expect(try await connect("nonsense", "x"), .enrolmentInvalid, exit: 4)
      let parts = ticket.split(separator: ".").map(String.init)
      let unknown = [parts[0], parts[1], String(repeating: "0", count: 64)].joined(separator: ".")
      Self.expect(try await connect(unknown, "x"), .enrolmentInvalid, exit: 4)
      let foreign = [parts[0], String(repeating: "0", count: 64), parts[2]].joined(separator: ".")
      Self.expect(try await connect(foreign, "x"), .linkForeignAuthority, exit: 1)
      #expect(!FileManager.default.fileExists(atPath: deployed.folder + "/x/host.json"), "nothing half-made")

      let arguments = ["connect", "--enrol", gateway, "--data", deployed.folder + "/second", "--json"]
      try await LongRunning.with(try Programs.aw(), arguments, input: ticket + "\n") { host in
        #expect(try await host.document()["said"] == "This machine is the Host 'second'.")
        try await host.end(SIGKILL)
      }
      Self.expect(try await connect(ticket, "third"), .enrolmentUsed, exit: 4)
      try await LongRunning.with(try Programs.aw(), arguments, input: ticket + "\n") { host in
        let said = try await host.document()["said"]?.stringValue ?? ""
        #expect(said.contains("already"))
        while try await !deployed.client.send(.get, "/hosts/second", as: HostView.self).connected {
          await Task.yield()
        }
        // Removed, its links end and it is not let in again.
        let removed = try await Programs.run(["host", "rm", "second", "--context", deployed.context])
        #expect(removed.code == 0, "\(removed)")
        while !host.log.contains("host.unknown") { await Task.yield() }
        try await host.end(SIGTERM)
      }
    }
  }

  @Test("a Host whose clock is ten minutes off is told so, not refused as a stranger")
  func clock() async throws {
    try await Scene.with { scene in
      for offset in [Duration.seconds(600), .seconds(-600)] {
        let invitation = try await scene.control.fleet.inviteHost(Slug("late"), as: Scene.actor)
        let program = HostProgram(
          directory: scene.directory + "/late", settings: .init(),
          clock: WallClock { WallClock.system.now.advanced(by: offset) }, logger: Scene.silent)
        let line = scene.control.enrolmentLine(invitation.token)
        let port = try #require(line.withText { $0.split(separator: ":").last.flatMap { Int($0) } })
        await #expect(throws: AWError(.linkClockSkew, "", next: "")) {
          try await program.enrol(at: .init(address: "127.0.0.1", port: port), ticket: try Programs.ticket(in: line))
        }
        #expect(!program.isEnrolled)
      }
    }
  }

  @Test("a Host that is gone: what needs it is refused, the Instance is told unreachable by its link, and comes back")
  func offline() async throws {
    try await Deployed.with { deployed in
      let body = FleetRoutes.InstanceBody(org: try Slug("acme"), slug: try Slug("acme-main"), runtime: .process)
      let asked = try await deployed.client.send(.post, "/instances", body: body, as: RequestedView.self)
      #expect(try await deployed.ended(asked.operation.id).state == .succeeded)
      try await deployed.killConnector()
      func run(_ words: String...) async throws -> Programs.Answer {
        try await Programs.run(words + ["--context", deployed.context])
      }
      try await deployed.unlinked()
      Self.expect(try await run("instance", "stop", "acme-main"), .hostOffline, exit: 1)
      Self.expect(try await run("instance", "create", "other", "--org", "acme"), .hostOffline, exit: 1)
      Self.expect(try await run("host", "rm", "host-1"), .hostInUse, exit: 1)
      let lost = try await deployed.until { $0.status.status == .unreachable }
      #expect(lost.status.link == .host && lost.state == .active)
      let status = try await run("status")
      #expect(status.code == 3 && status.output.contains("unreachable"), "\(status)")
      // Its identity may be lost or have expired: it enrols again, and keeps its name and its Instances.
      try await deployed.enrolAgain()
      try await deployed.until { $0.status.status == .current }
      let drained = try await run("host", "drain", "host-1")
      #expect(drained.code == 0)
      Self.expect(try await run("instance", "create", "other", "--org", "acme"), .hostDraining, exit: 1)
      let forced = try await run("host", "rm", "host-1", "--force", "--confirm", "host-1")
      #expect(forced.code == 0, "\(forced)")
      Self.expect(try await run("instance", "show", "acme-main"), .instanceUnknown, exit: 1)
    }
  }

  @Test("a full disk refuses acts by name, loses nothing, and the next act goes through when there is room")
  func diskFull() async throws {
    let folder = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let mounted = try await Programs.run("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", folder])
    try #require(mounted.code == 0, "\(mounted)")
    let serve = [
      "serve", "--data", folder + "/d", "--listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0", "--json",
    ]
    try await LongRunning.with(try Programs.aw(), serve) { control in
      _ = try await control.document()
      let context = ["--context", folder + "/d/context.json"]
      #expect(try await Programs.run(["org", "create", "before"] + context).code == 0)
      try Self.fill(folder + "/filler")
      var refused = Programs.Answer(code: 0, output: "", complaint: "")
      // The write-ahead log has some room left at first.
      for number in 0..<200 where refused.code == 0 {
        refused = try await Programs.run(["org", "create", "full-\(number)"] + context)
      }
      Self.expect(refused, .storeFull, exit: 1)
      try FileManager.default.removeItem(atPath: folder + "/filler")
      #expect(try await Programs.run(["org", "create", "after"] + context).code == 0)
      let orgs = try await Programs.run(["org", "list", "--json"] + context)
      let slugs = orgs.json?.arrayValue?.compactMap { $0["slug"]?.stringValue } ?? []
      #expect(slugs.contains("before") && slugs.contains("after"))
      #expect(try await control.end(SIGTERM) == 0)
    }
    let verified = try await Programs.run(["evidence", "verify", folder + "/d/evidence"])
    #expect(verified.code == 0, "\(verified)")
    _ = try await Programs.run("umount", [folder])
  }

  private static func fill(_ path: String) throws {
    let descriptor = Foundation.open(path, O_WRONLY | O_CREAT, 0o600)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    let page = [UInt8](repeating: 1, count: 4_096)
    while write(descriptor, page, page.count) > 0 {}
  }
}
