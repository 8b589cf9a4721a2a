/** A task's description and the way its prompt asks for the word. */
const tasks: readonly (readonly [string, string])[] = [
  [
    "In this task, you're presented with a text excerpt. Your task is to categorize the excerpt into a broad category such as 'Education', 'Technology', 'Health', 'Business', 'Environment', 'Politics', or 'Culture'. These categories help in organizing content for better accessibility and targeting. For this task,",
    "should be classified under one general category",
  ],
  [
    "In this task, you're given a statement and you need to determine whether it's presenting an 'Opinion' or a 'Fact'. This distinction is vital for information verification, educational purposes, and content analysis. For this task,",
    "discriminates between opinion and fact",
  ],
  [
    "In this task, you're given a review from an online platform. Your task is to generate a rating for the product based on the review on a scale of 1-5, where 1 means 'extremely negative' and 5 means 'extremely positive'. For this task,",
    "reflects the sentiment",
  ],
  [
    "In this task, you're reading a personal diary entry. Your task is to identify the predominant emotion expressed, such as joy, sadness, anger, fear, or love. For this task,",
    "conveys the emotion",
  ],
  [
    "In this task, you're presented with two sentences. Your task is to assess whether the sentences convey the same meaning. Use 'identical', 'similar', 'different', or 'unrelated' to describe the relationship. To enhance the performance of this task,",
    "means",
  ],
  [
    "In this task, you're given a sentence and a phrase. Your task is to determine if the phrase can be a contextual synonym within the given sentence. Options include 'yes', 'no', or 'partially'. To enhance the performance of this task,",
    "means",
  ],
  [
    "In this task, you're examining a news article. Your task is to extract the most critical fact from the article. For this task,",
    "encapsulates the key fact",
  ],
  [
    "In this task, you're reviewing a scientific abstract. Your task is to identify the main entities (e.g., proteins, diseases) and their relations (e.g., causes, treats). For this task,",
    "highlights the primary entity or relation",
  ],
];

/**
 * MetaEOL: a sentence is asked about as eight tasks would, and its vectors are averaged (arXiv 2402.18458). Eight runs.
 * @see Yibin-Lei/MetaEOL at c62096d, evaluation.py, for the wording
 */
export const metaEol: readonly string[] = tasks.map(
  ([task, asks]) => `${task} this sentence : "{text}" ${asks} in one word:"`,
);
