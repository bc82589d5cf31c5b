import Access
import Basics
import Client
import Deployment
import Fleet
import Foundation
import Onboarding
import Testing
import Web
import Work

@Suite("Baselines, end to end", .serialized, .timeLimit(.minutes(5)))
struct BaselineTests {
  private static func view(_ scene: Scene) async throws -> OnboardingView {
    try await scene.client.send(.get, "/orgs/acme/onboarding", as: OnboardingView.self)
  }

  private static func save(_ scene: Scene, _ body: JSONValue) async throws {
    _ = try await scene.client.send(.post, "/orgs/acme/onboarding", body: body)
  }

  private static func provision(_ scene: Scene) async throws {
    let asked = try await scene.client.send(
      .post, "/orgs/acme/onboarding/provision", as: OnboardingRequestedView.self)
    #expect(try await scene.ended(asked.operation).state == .succeeded)
    #expect(try await view(scene).state == .verified)
  }

  private static func ready(_ scene: Scene) async throws {
    try await scene.createOrg()
    try await save(
      scene,
      [
        "contact": ["name": "Ada", "email": "ada@example.com"],
        "instance": ["slug": "acme-main", "runtime": "process"], "surfaces": ["models.providers.openai.apiKey"],
      ])
    try await scene.setCredential()
    _ = try await scene.client.send(.post, "/orgs/acme/credentials/models.providers.openai.apiKey/validate")
  }

  private static func file(_ scene: Scene) async throws -> String {
    try #require(try await scene.instance().dataDirectory) + "/state/openclaw.json"
  }

  private static func configuration(_ scene: Scene) async throws -> JSONValue {
    try JSONValue(parsing: try String(contentsOfFile: try await file(scene), encoding: .utf8))
  }

  @Test("what is chosen is shown before, reaches the Instance, and comes back after somebody changed it there")
  func thread() async throws {
    try await Scene.with { scene in
      try await Self.ready(scene)
      try await Self.provision(scene)
      let usual = try await Self.configuration(scene)
      #expect(usual.value(at: "tools.exec.security") == "deny" && usual.value(at: "tools.deny") == [])
      let before = try await Self.view(scene)

      let plan = try await scene.client.send(
        .post, "/orgs/acme/onboarding", query: [("dryRun", "true")], body: ["baseline": "strict"], as: Plan.self)
      #expect(plan.steps.contains(#"tools.fs.workspaceOnly: false → true (stricter)"#), "\(plan.steps)")
      #expect(try await Self.view(scene) == before)
      try await Self.save(scene, ["baseline": "strict", "overlay": ["tools.profile": "minimal"]])
      #expect(try await Self.view(scene).state == .readyToProvision, "its proof is of an earlier desired state")
      await #expect(throws: AWError(.baselineWeaker, "", next: "")) {
        try await Self.save(scene, ["overlay": ["tools.exec.ask": "off"]])
      }
      try await Self.provision(scene)
      let strict = try await Self.configuration(scene)
      #expect(strict.value(at: "tools.fs.workspaceOnly") == true && strict.value(at: "tools.profile") == "minimal")
      #expect(
        try await Self.view(scene).baseline.settings.allSatisfy { strict.value(at: $0.key) ?? $0.value == $0.value })

      // OpenClaw's own policy of the same lies where its agent works.
      let policy = try #require(try await scene.instance().dataDirectory) + "/state/workspace/policy.jsonc"
      let installed = try JSONValue(parsing: try String(contentsOfFile: policy, encoding: .utf8))
      #expect(installed.value(at: "tools.profiles.allow") == ["minimal"])
      #expect(installed.value(at: "tools.fs.requireWorkspaceOnly") == true)

      // Somebody loosens both on the Host, and sets something of their own.
      try "{}".write(toFile: policy, atomically: true, encoding: .utf8)
      let theirs = strict.setting("full", at: "tools.exec.security").setting("theirs", at: "ui.assistant.name")
      try theirs.canonical.write(toFile: try await Self.file(scene), atomically: true, encoding: .utf8)
      let drifted = try await scene.until {
        $0.status.primaryCause == .drift && $0.status.reason.contains("tools.exec.security, policy.jsonc")
      }
      #expect(drifted.status.status == .degraded)
      #expect(try await scene.operate("restart").state == .succeeded)
      let mended = try await Self.configuration(scene)
      #expect(mended.value(at: "tools.exec.security") == "deny" && mended.value(at: "ui.assistant.name") == "theirs")
      #expect(try JSONValue(parsing: try String(contentsOfFile: policy, encoding: .utf8)) == installed)
      try await scene.until { $0.status.status == .current }
    }
  }

  @Test("an exception counts once another person approved it, and not by another token of who asked")
  func exceptions() async throws {
    try await Scene.with { scene in
      try await Self.ready(scene)
      let (access, acme, key) = (scene.control.access, try Slug("acme"), "tools.exec.security")
      func person(_ name: String) async throws -> Actor {
        let link = try await access.invite(Slug(name), role: .owner, as: Scene.actor)
        return .operator(try await access.setPassword(Secret("correct horse battery"), link: link.secret).id)
      }
      let (alan, grace) = (try await person("alan"), try await person("grace"))
      _ = try await scene.control.onboarding.askException(
        .init(
          key: key, value: "allowlist", owner: "Ada", reason: "builds",
          until: WallClock.system.now.advanced(by: .seconds(86_400))), org: acme, as: alan)
      #expect(try await Self.view(scene).state == .validationPending)
      let token = try await access.makeToken(Slug("ci"), role: .owner, lifetime: .seconds(3_600), as: alan).token
      for actor in [alan, .apiToken(token.id), Scene.actor] {
        await #expect(throws: AWError(.forbidden, "", next: ""), "\(actor)") {
          _ = try await scene.control.onboarding.approveException(key, org: acme, as: actor)
        }
      }
      _ = try await scene.control.onboarding.approveException(key, org: acme, as: grace)
      try await Self.provision(scene)
      #expect(try await Self.configuration(scene).value(at: "tools.exec.security") == "allowlist")
      _ = try await scene.client.send(.post, "/orgs/acme/onboarding/exceptions/\(key)/withdraw")
      #expect(try await Self.view(scene).state == .readyToProvision)
      try await Self.provision(scene)
      #expect(try await Self.configuration(scene).value(at: "tools.exec.security") == "deny")
    }
  }

  @Test("an exception that ends is not wanted any more: its Instance shows it, and is without it when it starts")
  func ended() async throws {
    let time = ShiftedClock()
    try await Scene.with(clock: time.clock) { scene in
      try await Self.ready(scene)
      let (acme, key) = (try Slug("acme"), "tools.exec.security")
      func person(_ name: String) async throws -> Actor {
        let link = try await scene.control.access.invite(Slug(name), role: .owner, as: Scene.actor)
        return .operator(
          try await scene.control.access.setPassword(Secret("correct horse battery"), link: link.secret).id)
      }
      let (alan, grace) = (try await person("alan"), try await person("grace"))
      _ = try await scene.control.onboarding.askException(
        .init(
          key: key, value: "allowlist", owner: "Ada", reason: "builds",
          until: time.clock.now.advanced(by: .seconds(3_600))), org: acme, as: alan)
      _ = try await scene.control.onboarding.approveException(key, org: acme, as: grace)
      try await Self.provision(scene)
      #expect(try await Self.configuration(scene).value(at: key) == "allowlist")
      #expect(try await Self.view(scene).baseline.settings[key] == "allowlist")

      time.pass(.seconds(3_601))
      #expect(try await Self.view(scene).baseline.settings[key] == "deny")
      #expect(try await Self.view(scene).block?.code == ErrorCode.baselineExceptionExpired.id)
      let shown = try await scene.until { $0.status.status == .degraded && $0.status.reason.contains(key) }
      #expect(shown.status.primaryCause == .drift && shown.status.reason.contains("now \"deny\""))
      // Nothing is changed under whoever works there; the next start is without it.
      #expect(try await Self.configuration(scene).value(at: key) == "allowlist")
      #expect(try await scene.operate("restart").state == .succeeded)
      #expect(try await Self.configuration(scene).value(at: key) == "deny")
      try await scene.until { $0.status.status == .current }
    }
  }
}
