import ArgumentParser
import Basics
import Client
import Fleet
import Foundation
import Link
import Onboarding
import Web
import Work

extension OrgCommands {
  struct Onboard: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Onboard an Org: show where it is, what is missing and who acts next; or go on with it.",
      discussion: """
        Without options it shows. With --contact-…, --instance, --surface, --baseline or --set it begins the onboarding,
        or changes it; --dry-run shows what another baseline would change.
        Nobody sets its state: that follows from what is there.
        """)

    @Argument(help: "The Org.") var org: Slug
    @Option(help: "Who speaks for the Org.") var contactName: String?
    @Option(help: "The address of who speaks for the Org.") var contactEmail: String?
    @Option(help: "The name of the Instance that it is to have.") var instance: Slug?
    @Option(help: "How the Instance is run: process or docker.") var runtime: RuntimeKind = .process
    @Option(help: "The image, for docker.") var image: String?
    @Option(help: "The Host; without it AW chooses.") var host: Slug?
    @Option(name: .customLong("surface"), help: "A model or channel that it is to have; may be repeated, and replaces.")
    var surfaces: [String] = []
    @Option(help: "The OpenClaw settings that it has at least: see 'aw baseline list'.") var baseline: String?
    @Option(
      name: .customLong("set"),
      help: ArgumentHelp(
        "A setting that is stricter than the baseline's; may be repeated, and replaces.", valueName: "key=value"))
    var overlay: [String] = []
    @Option(help: "The version that the changes are made on; another one there is a conflict.") var ifVersion: Int?
    @Option(help: "Keep it from going on, for this reason.") var hold: String?
    @Flag(help: "Let it go on.") var release = false
    @Flag(help: "Provision the Instance and make the first run, when it is ready to.") var provision = false
    @OptionGroup var waiting: WaitingOptions
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    private var path: String { "/orgs/\(org)/onboarding" }

    private var changes: OnboardingService.SaveRequest? {
      get throws {
        guard (contactName == nil) == (contactEmail == nil) else {
          throw AWError(
            .usage, "A contact has a name and an address.", next: "Give --contact-name and --contact-email.")
        }
        let overlay = try settings
        let request = OnboardingService.SaveRequest(
          contact: contactName.map { .init(name: $0, email: contactEmail ?? "") },
          instance: instance.map { .init(slug: $0, runtime: runtime, image: image, host: host) },
          surfaces: surfaces.isEmpty ? nil : surfaces, baseline: baseline, overlay: overlay, version: ifVersion)
        let isEmpty =
          request.contact == nil && request.instance == nil && request.surfaces == nil && baseline == nil
          && overlay == nil
        return isEmpty ? nil : request
      }
    }

    private var settings: [String: JSONValue]? {
      get throws {
        guard !overlay.isEmpty else { return nil }
        return try Typed.pairs(overlay, like: "tools.exec.security=deny").mapValues { BaselineCommands.value($0) }
      }
    }

    func run() async throws {
      let changes = try changes
      guard [changes != nil, hold != nil, release, provision].filter({ $0 }).count <= 1 else {
        throw AWError(
          .usage, "Several things are asked for at once.",
          next: "Change it, hold it, release it or provision it: one after the other.")
      }
      if provision { return try await runProvision() }
      let answer: JSONValue?
      if let changes {
        answer = try await act.send(.post, path, body: changes)
      } else if let hold {
        answer = try await act.send(.post, path + "/hold", body: ["reason": hold])
      } else if release {
        answer = try await act.send(.post, path + "/release")
      } else {
        answer = try await act.context.client.send(.get, path)
      }
      if let answer { try show(answer.decode(OnboardingView.self)) }
    }

    private func runProvision() async throws {
      guard let answer = try await act.send(.post, path + "/provision") else { return }
      let requested = try answer.decode(OnboardingRequestedView.self)
      if waiting.noWait { return try show(requested.onboarding) }
      let client = try act.context.client
      let ended = try await WaitingOptions.ended(requested.operation, client, json: output.json)
      if let failure = ended.failure { throw failure.error }
      try show(try await client.send(.get, path, as: OnboardingView.self))
    }

    private func show(_ view: OnboardingView) throws {
      if output.json { return try Console.json(view) }
      Console.line("The onboarding of '\(view.org)': \(view.state.rawValue) (version \(view.version))")
      if let block = view.block {
        Console.line("  blocked: \(block.message) [\(block.code)]")
        Console.line("  \(block.who.rawValue): \(block.next)")
        Console.line("  Then it is '\(block.resumesTo.rawValue)' again.")
      }
      if let hold = view.hold { Console.line("  held \(Console.age(hold.at)) by \(hold.by)") }
      for requirement in view.requirements {
        let mark = requirement.status.isMet ? "✓" : "·"
        Console.line("  \(mark) \(requirement.title): \(requirement.status.rawValue)")
        if let problem = requirement.problem { Console.line("      \(problem.who.rawValue): \(problem.next)") }
      }
      if let report = view.report {
        let words = report.digest == view.digest ? "" : ", of an earlier desired state"
        Console.line("  first run: \(report.passed ? "passed" : "failed") at \(report.at)\(words)")
        for channel in report.channels ?? [] {
          let state = channel.isOn ? "on" : "off, because \(channel.reason ?? "nobody knows why")"
          Console.line("    channel \(channel.channel): \(state)")
        }
      }
      if view.state == .readyToProvision {
        Console.line("  operator: Provision it: 'aw org onboard \(view.org) --provision'.")
      }
    }
  }
}
