import Basics
import Client
import Credentials
import Deployment
import Evidence
import Fleet
import Foundation
import Onboarding
import Store
import Testing
import Work

@Suite("Onboarding an Org, end to end", .serialized, .timeLimit(.minutes(5)))
struct OnboardingTests {
  private static let surfaces: [CredentialSurface] = [.openAI, .slack]

  private static func begin(_ scene: Scene, _ org: String = "acme", instance: String = "acme-main") async throws {
    let body: JSONValue = [
      "contact": ["name": "Ada Lovelace", "email": "ada@example.com"],
      "instance": ["slug": .string(instance), "runtime": "process"],
      "surfaces": .array(surfaces.map { .string($0.rawValue) }),
    ]
    _ = try await scene.client.send(.post, "/orgs/\(org)/onboarding", body: body)
  }

  private static func view(_ scene: Scene, _ org: String = "acme") async throws -> OnboardingView {
    try await scene.client.send(.get, "/orgs/\(org)/onboarding", as: OnboardingView.self)
  }

  private static func validate(
    _ scene: Scene, _ surface: CredentialSurface, _ org: String = "acme"
  ) async throws -> CredentialStatus {
    let view = try await scene.client.send(
      .post, "/orgs/\(org)/credentials/\(surface.rawValue)/validate", as: CredentialView.self)
    return view.status
  }

  private static func credentials(_ scene: Scene, _ name: String = "acme", org: String = "acme") async throws {
    for surface in surfaces {
      try await scene.setCredential(surface, name, org: org)
      #expect(try await validate(scene, surface, org) == .valid)
    }
  }

  private static func provision(_ scene: Scene) async throws -> OperationView {
    let asked = try await scene.client.send(
      .post, "/orgs/acme/onboarding/provision", as: OnboardingRequestedView.self)
    #expect(asked.onboarding.state == .provisioning || asked.operation.isFinished)
    return try await scene.ended(asked.operation)
  }

  private static func log(_ scene: Scene) async throws -> [(transition: OnboardingTransition, cause: String)] {
    let entries = try await scene.control.store.read { tx in
      try EvidenceLog().list(before: nil, limit: 500, in: tx).map(\.entry)
    }
    return try entries.reversed().filter { $0.kind.id == "onboarding.state-changed" && $0.subject?.slug == "acme" }
      .map { (try $0.data.decode(OnboardingTransition.self), $0.data["cause"]?.stringValue ?? "") }
  }

  private static func refused(_ code: ErrorCode, _ body: () async throws -> Void) async {
    await #expect(throws: AWError(code, "", next: ""), "\(code.id)") { try await body() }
  }

  @Test("from nothing to verified, every state on the way in the evidence; another credential asks for it all anew")
  func thread() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      await Self.refused(.onboardingUnknown) { _ = try await Self.view(scene) }
      try await Self.begin(scene)
      #expect(try await Self.view(scene).state == .credentialsPending)
      await Self.refused(.onboardingNotReady) { _ = try await Self.provision(scene) }
      try await Self.credentials(scene)
      #expect(try await Self.view(scene).state == .readyToProvision)
      #expect(try await Self.provision(scene).state == .succeeded)
      let verified = try await Self.view(scene)
      #expect(verified.state == .verified && verified.block == nil)
      let report = try #require(verified.report)
      #expect(report.passed && report.digest == verified.digest)
      #expect(report.checks.map(\.link) == ChainLink.allCases.map(\.title))
      #expect(report.checks.allSatisfy { $0.outcome == "passed" })
      #expect(try await scene.instance().status.status == .current)

      // The desired state is another one now, so the proof is of an earlier one.
      try await scene.setCredential(.openAI, "acme2")
      #expect(try await Self.view(scene).state == .validationPending)
      #expect(try await Self.validate(scene, .openAI) == .valid)
      let stale = try await Self.view(scene)
      #expect(stale.state == .readyToProvision && stale.report?.digest == verified.digest)
      #expect(stale.digest != verified.digest)
      #expect(try await Self.provision(scene).kind == "instance.restart")
      #expect(try await Self.view(scene).state == .verified)

      let log = try await Self.log(scene)
      #expect(
        log.map(\.transition.to.state) == [
          .credentialsPending, .validationPending, .readyToProvision, .provisioning, .verified, .validationPending,
          .readyToProvision, .provisioning, .verified,
        ])
      #expect(zip(log, log.dropFirst()).allSatisfy { $0.transition.to.state == $1.transition.from })
      #expect(log.last?.transition.to.state == .verified && log.last?.cause == "instance.restart")
      #expect(log.contains { $0.cause == "credential.validated" && $0.transition.to.state == .readyToProvision })
      #expect(log.contains { $0.cause == "instance.provision" && $0.transition.to.state == .verified })

      // An Instance that is removed proves nothing any more.
      #expect(try await scene.remove(purge: false).state == .succeeded)
      #expect(try await Self.view(scene).state == .readyToProvision)
    }
  }

  @Test("what is wrong blocks it, with a code, who has to act, what to do, and where it goes on")
  func blocked() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.createOrg("globex")
      try await Self.begin(scene)
      try await Self.credentials(scene)
      // A key that the vendor refuses.
      try await scene.setCredential(.openAI, "revoked")
      #expect(try await Self.validate(scene, .openAI) == .invalid)
      let refusedKey = try #require(try await Self.view(scene).block)
      #expect(refusedKey.code == ErrorCode.credentialRefused.id && refusedKey.who == .contact)
      #expect(refusedKey.resumesTo == .validationPending && refusedKey.next.contains("aw credential set acme"))
      try await Self.credentials(scene)
      // The same bot in another Org blocks both.
      try await Self.begin(scene, "globex", instance: "globex-main")
      try await Self.credentials(scene, "globex", org: "globex")
      #expect(try await Self.view(scene, "globex").state == .readyToProvision)
      try await scene.setCredential(.slack, "acme", org: "globex")
      #expect(try await Self.validate(scene, .slack, "globex") == .shared)
      for org in ["acme", "globex"] {
        #expect(try await Self.view(scene, org).block?.code == ErrorCode.credentialShared.id)
      }
      _ = try await scene.client.send(.delete, "/orgs/globex/credentials/\(CredentialSurface.slack.rawValue)")
      #expect(try await Self.view(scene).state == .readyToProvision)
      // Somebody's reason.
      _ = try await scene.client.send(.post, "/orgs/acme/onboarding/hold", body: ["reason": "the contract is open"])
      let held = try #require(try await Self.view(scene).block)
      #expect(held.code == ErrorCode.onboardingHeld.id && held.message.contains("the contract is open"))
      await Self.refused(.onboardingNotReady) { _ = try await Self.provision(scene) }
      _ = try await scene.client.send(.post, "/orgs/acme/onboarding/release")
      await Self.refused(.conflict) { _ = try await scene.client.send(.post, "/orgs/acme/onboarding/release") }
      #expect(try await Self.provision(scene).state == .succeeded)
      let (last, view) = (try await Self.log(scene).last, try await Self.view(scene))
      #expect(last?.transition.to.state == .verified && view.state == .verified)
    }
  }

  @Test("a provisioning that fails blocks it with the step's own code, and it can be tried again")
  func failed() async throws {
    let program = NSTemporaryDirectory() + "aw-program-" + Hex.encode([UInt8].random(count: 6))
    let switching = program + ".works"
    try """
    #!/bin/sh
    [ "$1" = --version ] && echo OpenClaw 2026.6.9 && exit 0
    [ -e '\(switching)' ] || exit 78
    exec \(try Programs.synthetic()) openclaw "$@"
    """.write(toFile: program, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
    defer { for path in [program, switching] { try? FileManager.default.removeItem(atPath: path) } }
    try await Scene.with(program: program, readyWithin: .seconds(5)) { scene in
      try await scene.createOrg()
      try await Self.begin(scene)
      try await Self.credentials(scene)
      #expect(try await Self.provision(scene).state == .failed)
      let block = try #require(try await Self.view(scene).block)
      #expect(block.code == ErrorCode.runtimeConfigRefused.id && block.who == .operator, "\(block)")
      #expect(block.resumesTo == .readyToProvision)
      try "".write(toFile: switching, atomically: true, encoding: .utf8)
      _ = try await Self.provision(scene)
      #expect(try await Self.log(scene).map(\.transition.to.state).suffix(2).first == .provisioning)
    }
  }

  @Test("by the command line alone: from an Org that is not there to verified")
  func commands() async throws {
    try await Scene.with { scene in
      let context = ["--context", scene.directory + "/control/context.json"]
      func aw(_ arguments: [String], input: String = "", code: Int32 = 0) async throws -> Programs.Answer {
        let answer = try await Programs.run(arguments + context, input: input)
        #expect(answer.code == code, "\(arguments): \(answer)")
        return answer
      }
      let surface = CredentialSurface.anthropic.rawValue
      _ = try await aw(["org", "create", "demo-org"])
      _ = try await aw(["org", "onboard", "demo-org"], code: 1)
      _ = try await aw(["org", "onboard", "demo-org", "--surface", surface, "--dry-run"])
      let draft = try await aw(["org", "onboard", "demo-org", "--surface", surface])
      #expect(draft.output.contains("'demo-org': draft"))
      _ = try await aw([
        "org", "onboard", "demo-org", "--contact-name", "Ada", "--contact-email", "ada@example.com", "--instance",
        "demo-main",
      ])
      // Somebody who looked before that has his change refused, and not lost without a word.
      let late = try await aw(
        ["org", "onboard", "demo-org", "--instance", "other", "--if-version", "1", "--json"], code: 1)
      #expect(late.json?["error"]?["code"] == "request.conflict")
      let fixture = try await Programs.run(["credential", "fixture", surface, "demo"])
      _ = try await aw(["credential", "set", "demo-org", surface], input: fixture.output)
      let ready = try await aw(["credential", "validate", "demo-org", surface])
      #expect(ready.output.contains("valid"))
      let done = try await aw(["org", "onboard", "demo-org", "--provision"])
      #expect(done.output.contains("'demo-org': verified"), "\(done)")
      let shown = try await aw(["org", "onboard", "demo-org", "--json"])
      #expect(shown.json?["state"] == "verified" && shown.json?["report"]?["passed"] == true)
    }
  }
}
