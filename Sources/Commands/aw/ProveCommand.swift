import ArgumentParser
import Basics
import Client
import Fleet
import Foundation
import Link
import Programme
import Web
import Work

struct ProveCommand: AsyncParsableCommand, JSONAnswering {
  static let configuration = CommandConfiguration(
    commandName: "prove", abstract: "Run the proofs of a sequence against the live system, and record a checkpoint.",
    discussion: """
      The control plane looks for itself: this verb only makes the synthetic fixtures that there is something to look \
      at. Without --instance it provisions one for the Org and removes it afterwards. The exit code is 1 when a proof \
      did not hold.
      """)

  @Argument(help: "The sequence, such as build-sequence-0.") var sequence: Slug
  @Option(help: "A synthetic Org; it is made when it is not there.") var org: String = "proof"
  @Option(help: "An Instance of that Org; else one is provisioned.") var instance: Slug?
  @Option(help: "The runtime of the Instance that is made: process or docker.") var runtime: RuntimeKind = .process
  @Option(help: "The image of the docker runtime.") var image: String?
  @Flag(help: "Keep the Instance that was made.") var keep = false
  @OptionGroup var act: ActOptions
  var output: OutputOptions { act.output }

  func run() async throws {
    let (client, org) = (try act.context.client, try Slug(org))
    // What is not built says so before anything is made.
    let plan = try await client.send(
      .post, "/programme/\(sequence)/prove", query: [("dryRun", "true")],
      body: ProofSubject(org: org, instance: instance), as: Plan.self)
    if act.isRehearsal { return try Console.show(plan, json: output.json) }
    try await makeOrg(org, client)
    let made = instance == nil ? try await provision(org, client) : nil
    let subject = ProofSubject(org: org, instance: instance ?? made)
    let report: ProofReport
    do {
      report = try await client.send(.post, "/programme/\(sequence)/prove", body: subject, as: ProofReport.self)
    } catch {
      if let made, !keep { try await remove(made, client) }
      throw error
    }
    if let made, !keep { try await remove(made, client) }
    try show(report)
    if !report.holds { throw ExitCode(1) }
  }

  private func show(_ report: ProofReport) throws {
    if output.json { return try Console.json(report) }
    for claim in report.claims {
      Console.line("\(claim.holds ? "holds     " : "DOES NOT  ")  \(claim.text)  [\(claim.proof ?? "-")]")
    }
    for phrase in report.unbuilt { Console.line("no proof    \(phrase)") }
    Console.line("Recorded as checkpoint \(report.checkpoint) of \(report.sequence).")
  }

  private func makeOrg(_ org: Slug, _ client: APIClient) async throws {
    do {
      _ = try await client.send(.post, "/orgs", body: ["slug": org.text])
    } catch let error as AWError where error.code == .slugTaken {
      // It is there; whether it is synthetic, the control plane looks.
    }
  }

  private func provision(_ org: Slug, _ client: APIClient) async throws -> Slug {
    let digits = Hex.encode([UInt8].random(count: 3))
    let slug = try Slug("proof-\(digits)")
    let body = FleetRoutes.InstanceBody(org: org, slug: slug, runtime: runtime, image: image, host: nil, port: nil)
    let requested = try await client.send(.post, "/instances", body: body, as: RequestedView.self)
    let ended = try await WaitingOptions.ended(requested.operation, client, json: output.json)
    if let failure = ended.failure { throw failure.error }
    return slug
  }

  private func remove(_ slug: Slug, _ client: APIClient) async throws {
    let requested = try await client.send(
      .delete, "/instances/\(slug)", query: [("purge", "true"), ("confirm", slug.text)], as: RequestedView.self)
    let ended = try await WaitingOptions.ended(requested.operation, client, json: output.json)
    if let failure = ended.failure { throw failure.error }
  }
}
